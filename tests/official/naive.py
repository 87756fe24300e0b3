"""The networks of Point-MAE, Point-BERT, ACT and ReCon straight from their official state dicts, with nothing
shared and nothing clever: every concatenation is built."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def under(state: State, beginning: str) -> State:
    return {k.removeprefix(beginning): v for k, v in state.items() if k.startswith(beginning)}


def linear(state: State, name: str, rows: Tensor) -> Tensor:
    """Also a convolution of one point alone, on channels that come last."""
    return F.linear(rows, state[f"{name}.weight"].flatten(1), state.get(f"{name}.bias"))


def norm(state: State, name: str, rows: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(rows, rows.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def batch_norm(state: State, name: str, rows: Tensor) -> Tensor:
    """In eval mode, on channels that come last."""
    scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-5).sqrt()
    return (rows - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]


def group_norm(state: State, name: str, rows: Tensor) -> Tensor:
    """In 4 groups, on channels that come last, over all rows of a cloud."""
    channels_second = F.group_norm(rows.movedim(-1, 1), 4, state[f"{name}.weight"], state[f"{name}.bias"])
    return channels_second.movedim(1, -1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, num_heads: int) -> Tensor:
    heads = [
        torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]), dim=2) @ v
        for q, k, v in zip(*(x.chunk(num_heads, dim=2) for x in (queries, keys, values)), strict=True)
    ]
    return torch.cat(heads, dim=2)


def attention(state: State, rows: Tensor, num_heads: int) -> Tensor:
    return linear(state, "proj", attend(*linear(state, "qkv", rows).chunk(3, dim=2), num_heads))


def perceptron(state: State, rows: Tensor) -> Tensor:
    return linear(state, "fc2", F.gelu(linear(state, "fc1", rows)))


def block(state: State, rows: Tensor, eps: float = 1e-5, channels: int = 64) -> Tensor:
    """With so many channels of each attention head."""
    num_heads = rows.shape[2] // channels
    rows = rows + attention(under(state, "attn."), norm(state, "norm1", rows, eps), num_heads)
    return rows + perceptron(under(state, "mlp."), norm(state, "norm2", rows, eps))


def depth(state: State, blocks: str) -> int:
    return sum(key.startswith(f"{blocks}.") and key.endswith(".norm1.weight") for key in state)


def positions(state: State, name: str, centres: Tensor) -> Tensor:
    return linear(state, f"{name}.2", F.gelu(linear(state, f"{name}.0", centres)))


def embed(state: State, neighbourhoods: Tensor) -> Tensor:
    """`state` below `encoder.`; global features come before local ones."""
    first = batch_norm(state, "first_conv.1", linear(state, "first_conv.0", neighbourhoods)).relu()
    local = linear(state, "first_conv.3", first)
    joined = torch.cat([local.amax(2, keepdim=True).expand_as(local), local], dim=3)
    second = batch_norm(state, "second_conv.1", linear(state, "second_conv.0", joined)).relu()
    return linear(state, "second_conv.3", second).amax(2)


def encode(state: State, tokens: Tensor, centres: Tensor) -> Tensor:
    """All rows after the final norm, that of the class token first where there is one."""
    places = positions(state, "pos_embed", centres)
    if "cls_token" in state:
        tokens = torch.cat([state["cls_token"].expand(len(tokens), -1, -1), tokens], dim=1)
        places = torch.cat([state["cls_pos"].expand(len(tokens), -1, -1), places], dim=1)
    for index in range(depth(state, "blocks.blocks")):
        tokens = block(under(state, f"blocks.blocks.{index}."), tokens + places)
    return norm(state, "norm", tokens)


def decode(state: State, name: str, latent: Tensor, seen: Tensor, unseen: Tensor) -> Tensor:
    rows = torch.cat([latent, state["mask_token"].expand(*unseen.shape[:2], -1)], dim=1)
    places = positions(state, "decoder_pos_embed", torch.cat([seen, unseen], dim=1))
    for index in range(depth(state, f"{name}.blocks")):
        rows = block(under(state, f"{name}.blocks.{index}."), rows + places)
    return norm(state, f"{name}.norm", rows[:, -unseen.shape[1] :])


def classify(state: State, encoded: Tensor, num_queries: int = 1) -> Tensor:
    """`state` below `cls_head_finetune.`; of one, two or three layers, by its keys."""
    queries, patches = encoded[:, :num_queries], encoded[:, num_queries:]
    rows = linear(state, "0", torch.cat([queries.flatten(1), patches.amax(1)], dim=1))
    if "3.weight" in state:
        return linear(state, "3", rows.relu())
    if "4.weight" not in state:
        return rows
    rows = batch_norm(state, "1", rows).relu()
    return linear(state, "8", batch_norm(state, "5", linear(state, "4", rows)).relu())


def graph(state: State, tokens: Tensor, centres: Tensor) -> Tensor:
    """Four edge layers on the four nearest centres, each centre among its own."""
    nearest = torch.cdist(centres, centres).argsort(dim=2)[:, :, :4]
    rows, found = linear(state, "input_trans", tokens), []
    for index in range(1, 5):
        neighbours = torch.stack([cloud[rows_of] for cloud, rows_of in zip(rows, nearest, strict=True)])
        own = rows.unsqueeze(2).expand_as(neighbours)
        edges = linear(state, f"layer{index}.0", torch.cat([neighbours - own, own], dim=3))
        rows = F.leaky_relu(group_norm(state, f"layer{index}.1", edges), 0.2).amax(2)
        found.append(rows)
    joined = linear(state, "layer5.0", torch.cat(found, dim=2))
    return F.leaky_relu(group_norm(state, "layer5.1", joined), 0.2)


def through_foreign(state: State, tokens: Tensor, centres: Tensor, channels: int = 64) -> Tensor:
    """Deep prompts: rows and positions of the prompts are overwritten before every block but the first."""
    num_prompts, batch = state["visual_prompt_token"].shape[1], len(tokens)
    rows = torch.cat(
        [state["visual_prompt_token"].expand(batch, -1, -1), linear(state, "proj_pre", tokens)], 1
    )
    centres_at = positions(state, "visual_pos_embed", centres)
    places = torch.cat([state["visual_prompt_pos"].expand(batch, -1, -1), centres_at], 1)
    for index in range(depth(state, "visual_embed.0")):
        if index > 0 and "deep_prompt_tokens" in state:
            rows, places = rows.clone(), places.clone()
            rows[:, :num_prompts] = state["deep_prompt_tokens"][index - 1]
            places[:, :num_prompts] = state["deep_prompt_pos"][index - 1]
        rows = block(under(state, f"visual_embed.0.{index}."), rows + places, 1e-6, channels)
    return linear(state, "proj_post", norm(state, "visual_embed.1", rows, eps=1e-6)[:, num_prompts:])


def fold(state: State, latents: Tensor) -> tuple[Tensor, Tensor]:
    """`state` below `decoder.`; coarse points, and four fine ones around each."""
    rows = linear(state, "mlp.2", linear(state, "mlp.0", latents).relu()).relu()
    coarse = linear(state, "mlp.4", rows).unflatten(2, (-1, 3))
    fine = []
    for point in range(coarse.shape[2]):
        for y in (-0.05, 0.05):
            for x in (-0.05, 0.05):
                centre = coarse[:, :, point]
                cell = torch.tensor([x, y]).expand(*latents.shape[:2], 2)
                rows = linear(state, "final_conv.0", torch.cat([latents, cell, centre], dim=2))
                rows = linear(state, "final_conv.3", batch_norm(state, "final_conv.1", rows).relu())
                rows = linear(state, "final_conv.6", batch_norm(state, "final_conv.4", rows).relu())
                fine.append(rows + centre)
    return coarse, torch.stack(fine, dim=2)


def recon_encode(state: State, tokens: Tensor, centres: Tensor) -> Tensor:
    """The three queries first; residuals start from the normalised tensor."""
    names, num_heads = ("cls", "img", "text"), tokens.shape[2] // 64
    queries, query_places = (
        torch.cat([state[f"{name}_{kind}"] for name in names], dim=1).expand(len(tokens), -1, -1)
        for kind in ("token", "pos")
    )
    places = positions(state, "pos_embed", centres)
    for index in range(depth(state, "blocks.blocks")):
        own = under(state, f"blocks.blocks.{index}.")
        q = norm(own, "norm1_contrast", queries + query_places)
        local = norm(own, "norm1", tokens + places)
        keys, values = linear(own, "attn_contrast.kv", local).chunk(2, dim=2)
        read = attend(linear(own, "attn_contrast.q", q), keys, values, num_heads)
        q = q + linear(own, "attn_contrast.proj", read)
        local = local + attention(under(own, "attn."), local, num_heads)
        q, local = norm(own, "norm2_contrast", q), norm(own, "norm2", local)
        queries = q + perceptron(under(own, "mlp_contrast."), q)
        tokens = local + perceptron(under(own, "mlp."), local)
    return norm(state, "norm", torch.cat([queries, tokens], dim=1))
