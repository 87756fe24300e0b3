"""The arithmetic of ReCon's encoder, against a naive version, and where its gradients go."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from pointlab.backbones import build_backbone
from pointlab.backbones.patch_transformer import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.recon import QueryName, ReconConfig, ReconTransformer
from pointlab.backbones.recon_block import ReconBlock
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, build_head

SIZES: dict[str, Any] = {
    "width": 24,
    "depth": 3,
    "num_heads": 3,
    "num_groups": 8,
    "group_size": 4,
    "embedder_widths": (8, 16, 12),
}


def tiny(**changes: Any) -> ReconTransformer:
    torch.manual_seed(0)
    network = ReconTransformer(ReconConfig(**SIZES, **changes)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)  # far from the small initial weights, where all looks linear
    return network


def some_tokens() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, 5, size, generator=draw, dtype=torch.float64) for size in (24, 3))


def random_batch() -> PointBatch:
    points = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    return PointBatch(points, torch.tensor([30, 30]), torch.tensor([0, 1]))


def naive_attention(query: Tensor, key: Tensor, value: Tensor, projection: nn.Linear) -> Tensor:
    """One cloud and one of three heads at a time, with the softmax written out."""
    joined = torch.zeros_like(query)
    for cloud in range(len(query)):
        for own in (slice(0, 8), slice(8, 16), slice(16, 24)):
            weights = (query[cloud, :, own] @ key[cloud, :, own].T / 8**0.5).exp()
            joined[cloud, :, own] = weights / weights.sum(dim=1, keepdim=True) @ value[cloud, :, own]
    return joined @ projection.weight.T + projection.bias


def naive_block(block: ReconBlock, local: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's two streams, each residual from the normalised tensor; all keys and values are built."""
    queries, local = block.query_attention_norm(queries), block.local_attention_norm(local)
    key, value = (local @ weight.T for weight in block.query_attention.key_value.weight.split(24))
    asked = queries @ block.query_attention.query.weight.T
    queries = queries + naive_attention(asked, key, value, block.query_attention.projection)
    query, key, value = (local @ weight.T for weight in block.local_attention.qkv.weight.split(24))
    local = local + naive_attention(query, key, value, block.local_attention.projection)
    queries, local = block.query_mlp_norm(queries), block.local_mlp_norm(local)
    return local + block.local_mlp(local), queries + block.query_mlp(queries)


def naive_encoder(network: ReconTransformer, local: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Patches and queries before the final norm; both positions are added before every block."""
    queries, query_places = (
        torch.cat([learned[name] for name in ("class", "image", "text")], dim=1).expand(len(local), -1, -1)
        for learned in (network.query_tokens, network.query_positions)
    )
    places = network.positional(positions)
    for block in network.blocks:
        local, queries = naive_block(block, local + places, queries + query_places)
    return local, queries


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_tokens_and_queries_equal_the_equations(stop_gradient: bool) -> None:
    network, (tokens, positions) = tiny().double(), some_tokens()
    local, queries = naive_encoder(network, tokens, positions)
    found = network.encode_with_queries(tokens, positions, stop_gradient=stop_gradient)
    torch.testing.assert_close(found[0], network.norm(local), atol=1e-10, rtol=0)
    torch.testing.assert_close(found[1], network.norm(queries), atol=1e-10, rtol=0)


def test_only_the_projection_of_the_cross_attention_has_a_bias() -> None:
    attention = tiny().blocks[0].query_attention
    assert [name for name, _ in attention.named_parameters() if "bias" in name] == ["projection.bias"]


def test_the_classifier_reads_all_queries_and_the_maximum_over_the_patches() -> None:
    network, batch = tiny(), random_batch()
    patches = network.group(batch)
    tokens, queries = network.encode_with_queries(
        network.embed(patches), patches.centres, stop_gradient=False
    )
    features = network(batch)
    assert torch.equal(features.tokens, tokens)
    assert torch.equal(features.positions, patches.centres)
    assert torch.equal(features.pooled, torch.cat([*queries.unbind(1), tokens.amax(1)], dim=1))


def test_the_svm_reads_the_maximum_over_the_queries_and_maximum_plus_mean_over_the_patches() -> None:
    network, batch = tiny(), random_batch()
    features = network(batch)
    first, second, third, highest = features.pooled.split(24, dim=1)
    expected = torch.cat([first.max(second).max(third), highest + features.tokens.mean(1)], dim=1)
    torch.testing.assert_close(network.svm_features(batch), expected)


def test_a_subset_of_the_tokens_is_encoded_without_a_trace_of_the_rest() -> None:
    network, (tokens, positions) = tiny().double(), some_tokens()
    whole, whole_queries = network.encode_with_queries(tokens, positions, stop_gradient=True)
    visible = torch.tensor([4, 1])
    part, queries = network.encode_with_queries(tokens[:, visible], positions[:, visible], stop_gradient=True)
    turned, same_queries = network.encode_with_queries(
        tokens[:, visible.flip(0)], positions[:, visible.flip(0)], stop_gradient=True
    )
    torch.testing.assert_close(turned.flip(1), part)
    torch.testing.assert_close(same_queries, queries)
    assert (part - whole[:, visible]).abs().max() > 0.01
    assert (queries - whole_queries).abs().max() > 0.01


@pytest.mark.parametrize("names", [("text", "class"), ()])
def test_queries_that_are_not_asked_for_leave_no_trace_on_the_rest(names: tuple[QueryName, ...]) -> None:
    network, (tokens, positions) = tiny().double(), some_tokens()
    whole, queries = network.encode_with_queries(tokens, positions, stop_gradient=True)
    found = network.encode_with_queries(tokens, positions, stop_gradient=True, names=names)
    torch.testing.assert_close(found[0], whole)
    assert found[1].shape == (2, len(names), 24)
    for row, name in enumerate(names):
        torch.testing.assert_close(found[1][:, row], queries[:, ("class", "image", "text").index(name)])


def moved_by(loss: Callable[[Tensor, Tensor], Tensor], *, stop_gradient: bool) -> set[str]:
    """Parts of the network with a gradient of a loss on (tokens, queries)."""
    network = tiny()
    patches = network.group(random_batch())
    loss(
        *network.encode_with_queries(network.embed(patches), patches.centres, stop_gradient=stop_gradient)
    ).backward()
    moved = (name for name, p in network.named_parameters() if p.grad is not None and p.grad.any())
    return {name.split(".")[2 if name.startswith("blocks") else 0].partition("_")[0] for name in moved}


def test_with_the_stop_a_loss_on_the_queries_leaves_the_patches_alone() -> None:
    """`norm` is the paper's one final norm, which both streams share."""
    assert moved_by(lambda _, queries: queries.sin().sum(), stop_gradient=True) == {"query", "norm"}


def test_without_the_stop_a_loss_on_the_queries_moves_everything() -> None:
    everything = {"query", "norm", "local", "embedder", "positional"}
    assert moved_by(lambda _, queries: queries.sin().sum(), stop_gradient=False) == everything


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_a_loss_on_the_patches_never_moves_the_queries(stop_gradient: bool) -> None:
    local = {"norm", "local", "embedder", "positional"}
    assert moved_by(lambda tokens, _: tokens.sin().sum(), stop_gradient=stop_gradient) == local


def test_in_forward_the_queries_train_the_patches() -> None:
    network = tiny()
    network(random_batch()).pooled[:, :24].sin().sum().backward()
    assert all(parameter.grad is not None for parameter in network.embedder.parameters())


def test_weights_of_a_standard_block_are_no_weights_of_this_one() -> None:
    """Shapes agree and arithmetic does not: nothing may pass, even where names that do not fit are let go."""
    recon, standard = tiny(), PatchTransformer(PatchTransformerConfig(**SIZES))
    for network, other in ((recon, standard), (standard, recon)):
        with pytest.raises(RuntimeError, match="Missing key"):
            network.load_state_dict(other.state_dict())
    assert not set(recon.blocks.state_dict()) & set(standard.blocks.state_dict())


def test_every_query_has_a_token_and_a_position_under_its_name() -> None:
    found = {name: tuple(p.shape) for name, p in tiny().state_dict().items() if name.startswith("query")}
    names = [f"query_{what}.{who}" for what in ("tokens", "positions") for who in ("class", "image", "text")]
    assert found == dict.fromkeys(names, (1, 1, 24))


def test_fewer_queries_make_a_narrower_feature() -> None:
    network = tiny(queries=("class",))
    assert network.num_features == network(random_batch()).pooled.shape[1] == 2 * 24


def test_drop_path_acts_on_both_streams_in_training_alone() -> None:
    network, (tokens, positions) = tiny(drop_path_rate=0.5).double(), some_tokens()
    assert [block.drop_path.rate for block in network.blocks] == pytest.approx([0, 0.25, 0.5])

    def passes() -> list[Tensor]:
        found = [network.encode_with_queries(tokens, positions, stop_gradient=True) for _ in range(8)]
        return [torch.stack(stream) for stream in zip(*found, strict=True)]

    network.train()
    assert all((stream != stream[:1]).any() for stream in passes())
    network.eval()
    assert all((stream == stream[:1]).all() for stream in passes())


def test_a_recon_classifier_has_as_many_parameters_as_the_paper() -> None:
    """43.58M for encoder and three-layer head, counted from the official layout."""
    embedder = (128 * 3 + 128) + 2 * 128 + (256 * 128 + 256) + (512 * 512 + 512) + 2 * 512 + (384 * 512 + 384)
    positional = (128 * 3 + 128) + (384 * 128 + 384)
    stream = 4 * 384 + 3 * 384 * 384 + (384 * 384 + 384) + (1536 * 384 + 1536) + (384 * 1536 + 384)
    backbone_size = embedder + positional + 12 * 2 * stream + 2 * 384 + 6 * 384
    head_size = (256 * 1536 + 256) + 2 * 256 + (256 * 256 + 256) + 2 * 256 + (40 * 256 + 40)
    with torch.device("meta"):
        backbone = build_backbone(ReconConfig())
        head = build_head(HeadConfig(), backbone.num_features, num_classes=40)
    assert sum(p.numel() for p in backbone.parameters()) == backbone_size
    assert sum(p.numel() for p in head.parameters()) == head_size
    assert round((backbone_size + head_size) / 1e6, 2) == 43.58


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 100}, "width 100 is not a multiple of num_heads 6"),
        ({"queries": ("text", "image", "text")}, "named twice in text, image, text"),
        ({"queries": ()}, "at least 1 item"),
    ],
)
def test_settings_that_make_no_network_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ReconConfig(**changes)
