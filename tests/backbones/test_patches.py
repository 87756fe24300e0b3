"""The embedder of patches, and the products and maxima that it saves: equal to what they stand for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointlab.backbones import maxima
from pointlab.backbones.maxima import maximal_product, maximum, maximum_and_member
from pointlab.backbones.patches import PatchEmbedder
from pointlab.backbones.products import linear
from pointlab.data.sample import PointBatch

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


def embedder(*, is_training: bool = True) -> PatchEmbedder:
    torch.manual_seed(0)
    return PatchEmbedder((8, 16, 12), 24).train(is_training)


def plain(embedder: PatchEmbedder, neighbourhoods: Tensor) -> Tensor:
    """The embedder as the papers have it: convolutions over [patches, channels, members], joined maxima."""

    def normalised(values: Tensor, norm: torch.nn.Module) -> Tensor:
        running = (norm.running_mean.clone(), norm.running_var.clone())
        return F.batch_norm(values, *running, norm.weight, norm.bias, training=norm.training).relu()

    enter, local_norm, _, local = embedder.local
    mixed_norm, _, final = embedder.final
    values = F.conv1d(neighbourhoods.flatten(0, 1).transpose(1, 2), enter.weight, enter.bias)
    values = F.conv1d(normalised(values, local_norm), local.weight, local.bias)
    joined = torch.cat([values.amax(2, keepdim=True).expand_as(values), values], dim=1)
    mixed = F.conv1d(joined, embedder.mix.weight, embedder.mix.bias)
    tokens = F.conv1d(normalised(mixed, mixed_norm), final.weight, final.bias).amax(2)
    return tokens.unflatten(0, neighbourhoods.shape[:2])


def gradients(network: PatchEmbedder, tokens: Tensor) -> list[Tensor]:
    """Of a loss in which every token counts differently."""
    weights = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(2))
    return list(torch.autograd.grad((tokens * weights).sum(), list(network.parameters())))


@pytest.mark.parametrize("is_training", [True, False])
def test_the_embedder_and_its_gradients_equal_the_paper_with_its_concatenation(is_training: bool) -> None:
    network, neighbourhoods = embedder(is_training=is_training), torch.randn(8, 9, 4, 3)
    expected = plain(network, neighbourhoods)
    expected_gradients = gradients(network, expected)
    found = network(neighbourhoods)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradients(network, found), expected_gradients, atol=1e-4, rtol=1e-4)


def test_company_is_seen_by_batch_normalisation_and_spared_the_rest() -> None:
    """Tokens, gradients and running statistics are those of embedding all and dropping the company's."""
    wanted, company = torch.randn(2, 3, 4, 3), 2 * torch.randn(2, 5, 4, 3)
    one, other = embedder(), embedder()
    found, expected = one(wanted, company), other(torch.cat([wanted, company], dim=1))[:, :3]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(one, found), gradients(other, expected), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(dict(one.named_buffers()), dict(other.named_buffers()))
    assert not torch.allclose(found, one(wanted))
    assert torch.equal(one.eval()(wanted, company), one(wanted))


def test_maximal_products_and_their_gradients_are_those_of_the_product_and_its_maximum() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in ((5, 4, 3), (6, 3), (6,))]
    inputs = [one.requires_grad_() for one in inputs]
    assert torch.equal(maximal_product(*inputs), F.linear(*inputs).amax(1))
    assert torch.autograd.gradcheck(maximal_product, inputs)
    assert torch.autograd.gradcheck(maximum, inputs[:1])


def test_without_gradients_nobody_looks_for_members(monkeypatch: pytest.MonkeyPatch) -> None:
    network, patches = embedder(is_training=False), torch.randn(2, 3, 5, 3)
    expected = network(patches).detach()

    def looked_for(values: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError(f"members of {tuple(values.shape)} were looked for")

    monkeypatch.setattr(maxima, "maximum_and_member", looked_for)
    with torch.no_grad():
        assert torch.equal(network(patches), expected)
    assert torch.equal(network.requires_grad_(False)(patches), expected)
    with pytest.raises(AssertionError, match="were looked for"):
        network(patches.requires_grad_())


def test_of_equal_members_the_first_gets_the_gradient() -> None:
    values = torch.tensor([[[1.0], [3.0], [3.0]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(maximum(values).sum(), values)
    assert gradient.flatten().tolist() == [0, 1, 0]
    rows = torch.zeros(2, 300, 3)  # more members than a byte counts
    assert maximum_and_member(rows)[1].tolist() == [[0] * 3] * 2


def test_a_product_as_a_convolution_equals_the_product() -> None:
    torch.manual_seed(0)
    rows, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((32, 20, 24), (12, 24), (12,)))
    found, expected = linear(rows, weight, bias), F.linear(rows, weight, bias)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous()
    steering = torch.randn(expected.shape)
    pairs = [torch.autograd.grad((y * steering).sum(), (rows, weight, bias)) for y in (found, expected)]
    torch.testing.assert_close(*pairs, atol=1e-3, rtol=1e-4)
    assert [one.stride() for one in pairs[0]] == [one.stride() for one in (rows, weight, bias)]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks' modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(BENCHMARKS):
            del sys.modules[name]


@pytest.mark.usefixtures("benchmarks")
def test_a_point_mae_step_equals_the_plainly_written_one() -> None:
    import masked
    from plain_point_mae import Sizes

    sizes = Sizes(
        width=24, depth=3, decoder_depth=2, num_heads=3, num_groups=16, group_size=8, widths=(8, 16, 12)
    )
    ours = masked.runner_of_ours(sizes)
    plain = masked.runner_of_plain(sizes, ours.network)
    points = masked.random_clouds(16, 64)
    for precise, tolerance in ((points.double(), 1e-10), (points, 1e-4)):
        assert max(masked.differences(ours, plain, precise)) < tolerance
    torch.manual_seed(0)
    whole = ours.network.network(PointBatch(points, torch.full((16,), 64), torch.arange(16))).loss
    torch.testing.assert_close(ours.gradients(points, seed=0)[0], whole.detach())
