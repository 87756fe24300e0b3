"""State dicts with the keys and shapes of released checkpoints, at any size, filled with random numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """Widths and depths; the defaults are the released ones."""

    width: int = 384
    depth: int = 12
    embedder: tuple[int, int, int] = (128, 256, 512)
    members: int = 32
    classes: int = 40
    codes: int = 8192
    graph: tuple[int, int, int, int, int] = (128, 256, 512, 512, 1024)
    coarse: int = 1024
    fine: int = 512
    foreign_width: int = 768
    foreign_depth: int = 12
    prompts: int = 64
    contrast: int = 512


TINY = Size(
    width=128,
    depth=2,
    embedder=(8, 12, 16),
    members=8,
    classes=5,
    codes=20,
    graph=(8, 12, 16, 16, 20),
    coarse=24,
    fine=12,
    foreign_width=128,
    foreign_depth=2,
    prompts=3,
    contrast=16,
)


def layer(name: str, *shape: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if bias else {})}


def batch_norm(name: str, width: int) -> Shapes:
    moments = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
    return layer(name, width) | moments | {f"{name}.num_batches_tracked": ()}


def block(name: str, width: int, *, bias: bool = False) -> Shapes:
    return {
        **layer(f"{name}.norm1", width),
        **layer(f"{name}.attn.qkv", 3 * width, width, bias=bias),
        **layer(f"{name}.attn.proj", width, width),
        **layer(f"{name}.norm2", width),
        **layer(f"{name}.mlp.fc1", 4 * width, width),
        **layer(f"{name}.mlp.fc2", width, 4 * width),
    }


def contrast_block(name: str, width: int) -> Shapes:
    return {
        **layer(f"{name}.norm1_contrast", width),
        **layer(f"{name}.norm2_contrast", width),
        **layer(f"{name}.mlp_contrast.fc1", 4 * width, width),
        **layer(f"{name}.mlp_contrast.fc2", width, 4 * width),
        **layer(f"{name}.attn_contrast.q", width, width, bias=False),
        **layer(f"{name}.attn_contrast.kv", 2 * width, width, bias=False),
        **layer(f"{name}.attn_contrast.proj", width, width),
    }


def embedder(size: Size, width: int, beginning: str = "") -> Shapes:
    first, second, third = size.embedder
    name = f"{beginning}encoder"
    return {
        **layer(f"{name}.first_conv.0", first, 3, 1),
        **batch_norm(f"{name}.first_conv.1", first),
        **layer(f"{name}.first_conv.3", second, first, 1),
        **layer(f"{name}.second_conv.0", third, 2 * second, 1),
        **batch_norm(f"{name}.second_conv.1", third),
        **layer(f"{name}.second_conv.3", width, third, 1),
    }


def positions(name: str, width: int) -> Shapes:
    return layer(f"{name}.0", 128, 3) | layer(f"{name}.2", width, 128)


def student(size: Size, beginning: str = "", embedded: int | None = None) -> Shapes:
    blocks = (block(f"{beginning}blocks.blocks.{index}", size.width) for index in range(size.depth))
    return {
        **embedder(size, embedded or size.width, beginning),
        **positions(f"{beginning}pos_embed", size.width),
        **{key: shape for each in blocks for key, shape in each.items()},
        **layer(f"{beginning}norm", size.width),
    }


def tokens(size: Size, *names: str, beginning: str = "") -> Shapes:
    return {f"{beginning}{n}_{kind}": (1, 1, size.width) for n in names for kind in ("token", "pos")}


def decoder(size: Size, name: str, depth: int) -> Shapes:
    blocks = (block(f"{name}.blocks.{index}", size.width) for index in range(depth))
    return {
        "mask_token": (1, 1, size.width),
        **positions("decoder_pos_embed", size.width),
        **{key: shape for each in blocks for key, shape in each.items()},
        **layer(f"{name}.norm", size.width),
    }


def head(size: Size, num_features: int) -> Shapes:
    return {
        **layer("cls_head_finetune.0", 256, num_features),
        **batch_norm("cls_head_finetune.1", 256),
        **layer("cls_head_finetune.4", 256, 256),
        **batch_norm("cls_head_finetune.5", 256),
        **layer("cls_head_finetune.8", size.classes, 256),
    }


def point_mae_pretrain(size: Size) -> Shapes:
    return {
        **student(size, "MAE_encoder."),
        **decoder(size, "MAE_decoder", 4),
        **layer("increase_dim.0", 3 * size.members, size.width, 1),
    }


def point_mae_classifier(size: Size) -> Shapes:
    return {**student(size), **tokens(size, "cls"), **head(size, 2 * size.width)}


def linear_classifier(size: Size) -> Shapes:
    return {
        **student(size),
        **tokens(size, "cls"),
        **layer("cls_head_finetune.0", size.classes, 2 * size.width),
    }


def point_bert_classifier(size: Size) -> Shapes:
    return {
        **student(size, embedded=size.embedder[1]),
        **layer("reduce_dim", size.width, size.embedder[1]),
        **tokens(size, "cls"),
        **layer("cls_head_finetune.0", 256, 2 * size.width),
        **layer("cls_head_finetune.3", size.classes, 256),
    }


def graph(size: Size, name: str, num_outputs: int) -> Shapes:
    first, *rest = size.graph
    found = layer(f"{name}.input_trans", first, size.width, 1)
    for index, (before, after) in enumerate(zip(size.graph, rest, strict=False), start=1):
        found |= layer(f"{name}.layer{index}.0", after, 2 * before, 1, 1, bias=False)
        found |= layer(f"{name}.layer{index}.1", after)
    found |= layer(f"{name}.layer5.0", num_outputs, sum(rest), 1, bias=False)
    return found | layer(f"{name}.layer5.1", num_outputs)


def act_autoencoder(size: Size) -> Shapes:
    width, foreign, prompts = size.width, size.foreign_width, (size.prompts, size.foreign_width)
    blocks = (block(f"visual_embed.0.{i}", foreign, bias=True) for i in range(size.foreign_depth))
    return {
        **embedder(size, width),
        "codebook": (size.codes, width),
        **graph(size, "dgcnn_1", size.codes),
        **graph(size, "dgcnn_2", width),
        **layer("decoder.mlp.0", size.coarse, width),
        **layer("decoder.mlp.2", size.coarse, size.coarse),
        **layer("decoder.mlp.4", 3 * size.members // 4, size.coarse),
        **layer("decoder.final_conv.0", size.fine, width + 5, 1),
        **batch_norm("decoder.final_conv.1", size.fine),
        **layer("decoder.final_conv.3", size.fine, size.fine, 1),
        **batch_norm("decoder.final_conv.4", size.fine),
        **layer("decoder.final_conv.6", 3, size.fine, 1),
        **{key: shape for each in blocks for key, shape in each.items()},
        **layer("visual_embed.1", foreign),
        **layer("proj_pre", foreign, width),
        **positions("visual_pos_embed", foreign),
        **layer("proj_post", width, foreign),
        "visual_prompt_token": (1, *prompts),
        "visual_prompt_pos": (1, *prompts),
        "deep_prompt_tokens": (size.foreign_depth - 1, *prompts),
        "deep_prompt_pos": (size.foreign_depth - 1, *prompts),
    }


def act_pretrain(size: Size) -> Shapes:
    return {
        **student(size, "ACT_encoder."),
        **tokens(size, "cls", beginning="ACT_encoder."),
        **layer("ACT_encoder.lm_head", size.codes, size.width),
        **layer("ACT_encoder.cls_head.0", size.contrast, size.width),
        **layer("ACT_encoder.cls_head.2", size.contrast, size.contrast),
        **decoder(size, "ACT_decoder", 2),
        **layer("proj_head", size.width, size.width),
        **{f"dvae_tokenizer.{key}": shape for key, shape in act_autoencoder(size).items()},
    }


def recon_student(size: Size, beginning: str = "") -> Shapes:
    blocks = (contrast_block(f"{beginning}blocks.blocks.{i}", size.width) for i in range(size.depth))
    return {
        **student(size, beginning),
        **tokens(size, "cls", "img", "text", beginning=beginning),
        **{key: shape for each in blocks for key, shape in each.items()},
    }


def recon_pretrain(size: Size) -> Shapes:
    return {
        **recon_student(size, "MAE_encoder."),
        **decoder(size, "MAE_decoder", 4),
        **layer("increase_dim.0", 3 * size.members, size.width, 1),
        **layer("img_proj", 2 * size.contrast, size.width),
        **layer("text_proj", size.contrast, size.width),
    }


def recon_classifier(size: Size) -> Shapes:
    return {**recon_student(size), **head(size, 4 * size.width)}


def recon_zero_shot(size: Size) -> Shapes:
    projections = (layer(name, size.contrast, size.width) for name in ("img_proj", "text_proj"))
    return {**recon_student(size), **{key: shape for each in projections for key, shape in each.items()}}


LAYOUTS = {
    "point_mae_pretrain": point_mae_pretrain,
    "point_mae_classifier": point_mae_classifier,
    "point_bert_classifier": point_bert_classifier,
    "act_autoencoder": act_autoencoder,
    "act_pretrain": act_pretrain,
    "recon_pretrain": recon_pretrain,
    "recon_classifier": recon_classifier,
}


def filled(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random numbers of these shapes: scales and variances near 1, counts as integers."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        numbers = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + numbers.abs()
        elif len(shape) == 1 and name.endswith("weight"):
            state[name] = 1 + 0.1 * numbers
        elif len(shape) >= 2 and name.endswith("weight"):
            state[name] = numbers / max(shape[1], 1) ** 0.5
        else:
            state[name] = 0.3 * numbers
    return state
