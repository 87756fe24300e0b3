"""The arithmetic of the patch transformer, against naive versions and the papers' parameter counts."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.patch_transformer import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.transformer import Attention, DropPath, TransformerBlock, transformer_blocks
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, build_head


def tiny(**changes: Any) -> PatchTransformer:
    torch.manual_seed(0)
    sizes = {"width": 24, "depth": 3, "num_heads": 3, "num_groups": 8, "group_size": 4}
    config = PatchTransformerConfig(**sizes, embedder_widths=(8, 16, 12), **changes)
    network = PatchTransformer(config).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)  # far from the small initial weights, where all looks linear
    return network


def random_batch() -> PointBatch:
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    return PointBatch(points, torch.tensor([30, 30]), torch.tensor([0, 1]))


def naive_attention(attention: Attention, tokens: Tensor) -> Tensor:
    """One cloud and one head at a time, with the softmax written out."""
    width = tokens.shape[2]
    size = width // attention.num_heads
    joined = torch.zeros_like(tokens)
    for cloud, rows in enumerate(tokens):
        for head in range(attention.num_heads):
            own = slice(head * size, (head + 1) * size)
            query, key, value = (rows @ w[own].T for w in attention.qkv.weight.split(width))
            weights = (query @ key.T / size**0.5).exp()
            joined[cloud, :, own] = weights / weights.sum(dim=1, keepdim=True) @ value
    return joined @ attention.projection.weight.T + attention.projection.bias


def naive_block(block: TransformerBlock, tokens: Tensor) -> Tensor:
    def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        return (x - x.mean(dim=-1, keepdim=True)) / (variance + 1e-5).sqrt() * layer.weight + layer.bias

    tokens = tokens + naive_attention(block.attention, norm(block.attention_norm, tokens))
    first, _, second = block.mlp
    hidden = norm(block.mlp_norm, tokens) @ first.weight.T + first.bias
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    return tokens + hidden @ second.weight.T + second.bias


def test_attention_equals_the_softmax_written_out() -> None:
    attention, tokens = tiny().blocks[0].attention, torch.randn(2, 5, 24)
    torch.testing.assert_close(attention(tokens), naive_attention(attention, tokens), atol=1e-5, rtol=1e-4)


def test_queries_keys_and_values_have_no_bias_but_the_projection_has() -> None:
    attention = Attention(24, 3)
    assert attention.qkv.bias is None
    assert attention.projection.bias is not None


def test_a_block_equals_its_equations() -> None:
    block, tokens = tiny().blocks[0], torch.randn(2, 5, 24)
    torch.testing.assert_close(block(tokens), naive_block(block, tokens), atol=1e-4, rtol=1e-4)


def test_positions_are_added_before_every_block() -> None:
    network = tiny(class_token=False)
    tokens, positions = torch.randn(2, 5, 24), torch.randn(2, 5, 3)
    places = network.positional(positions)
    expected = tokens
    for block in network.blocks:
        expected = naive_block(block, expected + places)
    torch.testing.assert_close(
        network.encode(tokens, positions), network.norm(expected), atol=1e-4, rtol=1e-4
    )


def test_the_class_token_has_its_own_position_and_opens_the_pooled_feature() -> None:
    network = tiny()
    tokens, positions = torch.randn(2, 5, 24), torch.randn(2, 5, 3)
    rows = torch.cat([network.class_token.expand(2, -1, -1), tokens], dim=1)
    places = torch.cat([network.class_position.expand(2, -1, -1), network.positional(positions)], dim=1)
    for block in network.blocks:
        rows = block(rows + places)
    rows = network.norm(rows)
    found = network.encode_stages(tokens, positions, {"block_3"})["block_3"]
    torch.testing.assert_close(found.tokens, rows[:, 1:])
    torch.testing.assert_close(found.pooled, torch.cat([rows[:, 0], rows[:, 1:].amax(1)], dim=1))


def test_without_a_class_token_the_pooled_feature_is_maximum_and_mean() -> None:
    network = tiny(class_token=False)
    features = network(random_batch())
    expected = torch.cat([features.tokens.amax(1), features.tokens.mean(1)], dim=1)
    torch.testing.assert_close(features.pooled, expected)
    assert not any("class" in name for name in network.state_dict())


def test_the_steps_taken_apart_make_the_forward_features() -> None:
    network, batch = tiny(), random_batch()
    patches = network.group(batch)
    features = network(batch)
    assert torch.equal(network.encode(network.embed(patches), patches.centres), features.tokens)
    assert torch.equal(features.positions, patches.centres)


def test_any_subset_of_the_tokens_is_encoded_in_the_order_given() -> None:
    """Hidden patches leave no trace: the visible ones come out otherwise than in company of all."""
    network, batch = tiny(), random_batch()
    patches = network.group(batch)
    tokens, centres = network.embed(patches), patches.centres
    visible = torch.tensor([6, 1, 3])
    encoded = network.encode(tokens[:, visible], centres[:, visible])
    turned = network.encode(tokens[:, visible.flip(0)], centres[:, visible.flip(0)])
    assert encoded.shape == (2, 3, 24)
    torch.testing.assert_close(turned.flip(1), encoded, atol=1e-5, rtol=1e-4)
    assert (encoded - network.encode(tokens, centres)[:, visible]).abs().max() > 0.01


def test_the_final_norm_belongs_to_the_last_block_and_all_else_outside_blocks_to_the_embedding() -> None:
    owners = {name.split(".")[0]: stage for stage, named in tiny().parameters_by_depth() for name, _ in named}
    assert owners.pop("norm") == owners.pop("blocks") == "block_3"
    assert owners == dict.fromkeys(("embedder", "positional", "class_token", "class_position"), "embedding")


def test_patches_are_nearest_points_relative_to_their_centres() -> None:
    batch = random_batch()
    patches = tiny().group(batch)
    for cloud in range(2):
        distances = torch.cdist(patches.centres[cloud], batch.points[cloud])
        for group, centre in enumerate(patches.centres[cloud]):
            rows = patches.indices[cloud, group]
            assert set(rows.tolist()) == set(distances[group].argsort()[:4].tolist())
            assert torch.equal(patches.neighbourhoods[cloud, group], batch.points[cloud, rows] - centre)


def test_drop_path_keeps_the_expectation_and_is_all_or_nothing() -> None:
    torch.manual_seed(0)
    kept = DropPath(0.3)(torch.ones(20_000, 2, 3))
    assert kept.mean().item() == pytest.approx(1, abs=0.02)  # standard error 0.005
    assert set(kept.unique().tolist()) == {0, torch.tensor(1 / 0.7).item()}
    assert torch.equal(kept, kept[:, :1, :1].expand_as(kept))


def test_drop_path_does_nothing_in_evaluation() -> None:
    branch = torch.randn(4, 2, 3)
    assert torch.equal(DropPath(0.9).eval()(branch), branch)


def test_drop_path_rises_evenly_from_zero() -> None:
    blocks = transformer_blocks(width=8, depth=5, num_heads=2, mlp_ratio=2, drop_path_rate=0.2)
    assert [block.drop_path.rate for block in blocks] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_weights_start_as_truncated_normals_and_biases_at_zero() -> None:
    network = PatchTransformer(PatchTransformerConfig(width=96, depth=1))
    linear = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv1d)}
    assert all(m.bias is None or not m.bias.any() for m in linear.values())
    spread = torch.cat([m.weight.flatten() for m in linear.values()]).std().item()
    assert spread == pytest.approx(0.02, rel=0.02)
    assert 0.01 < network.class_token.std().item() < 0.03


def test_a_point_mae_classifier_has_as_many_parameters_as_the_papers() -> None:
    """22.10M for backbone and three-layer head of 40 classes, counted from the official layout."""
    embedder = (128 * 3 + 128) + 2 * 128 + (256 * 128 + 256) + (512 * 512 + 512) + 2 * 512 + (384 * 512 + 384)
    positional = (128 * 3 + 128) + (384 * 128 + 384)
    block = 4 * 384 + 1152 * 384 + (384 * 384 + 384) + (1536 * 384 + 1536) + (384 * 1536 + 384)
    backbone_size = embedder + positional + 12 * block + 2 * 384 + 2 * 384
    head_size = (256 * 768 + 256) + 2 * 256 + (256 * 256 + 256) + 2 * 256 + (40 * 256 + 40)
    with torch.device("meta"):
        backbone = build_backbone(PatchTransformerConfig())
        head = build_head(HeadConfig(), backbone.num_features, num_classes=40)
    assert sum(p.numel() for p in backbone.parameters()) == backbone_size
    assert sum(p.numel() for p in head.parameters()) == head_size
    assert backbone_size + head_size == 22_099_752


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValidationError, match="width 100 is not a multiple of num_heads 6"):
        PatchTransformerConfig(width=100)
