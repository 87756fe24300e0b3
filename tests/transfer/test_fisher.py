"""Fisher information is that of the model's own answers, and a mixture weighs each entry by it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from backbones.tiny import TINY
from pointlab.backbones import Backbone, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.transfer import interpolate
from pointlab.transfer.fisher import FLOOR, fisher_coefficients, fisher_information
from transfer.test_transfer import Moments, batches, two_ends

CPU = torch.device("cpu")


def clouds(num: int = 2) -> PointBatch:
    draw = torch.Generator().manual_seed(1)
    return PointBatch(torch.randn(num, 40, 3, generator=draw), torch.full((num,), 40), torch.arange(num))


def a_network(kind: str) -> tuple[Backbone, nn.Module]:
    """A backbone whose running statistics have seen clouds, and a head of three classes."""
    torch.manual_seed(0)
    backbone = build_backbone(TINY[kind])
    with torch.no_grad():
        backbone(clouds(4))
    return backbone, nn.Linear(backbone.num_features, 3)


def naive_information(backbone: Backbone, head: nn.Module, batch: PointBatch) -> dict[str, Tensor]:
    """Cloud by cloud and class by class, each from a forward pass of its own."""
    total = {name: torch.zeros_like(parameter) for name, parameter in backbone.named_parameters()}
    backbone.eval()
    for row in range(len(batch)):
        one = replace(
            batch, points=batch.points[[row]], counts=batch.counts[[row]], ids=batch.ids[[row]], labels=None
        )
        for label in range(3):
            backbone.zero_grad()
            probability = head(backbone(one).pooled).softmax(1)[0, label]
            probability.log().backward()
            for name, parameter in backbone.named_parameters():
                if parameter.grad is not None:
                    total[name] += float(probability.detach()) * parameter.grad**2 / len(batch)
    return total


@pytest.mark.parametrize("kind", TINY)
def test_the_information_is_the_expected_square_of_the_gradient(kind: str) -> None:
    backbone, head = a_network(kind)
    found = fisher_information(backbone, head, [clouds()], CPU)
    expected = naive_information(copy.deepcopy(backbone), head, clouds())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.allclose(found[name], values, rtol=1e-3, atol=1e-6 * float(values.max())), name
    assert sum(float(values.sum()) for values in found.values()) > 1e-6


def test_of_a_linear_softmax_model_it_is_the_closed_form() -> None:
    """Of the weight from feature j to score i: the mean over clouds of p_i (1 - p_i) x_j^2."""

    class Scores(Moments):
        def compute(self, batch: PointBatch, stages: object) -> dict[str, object]:
            from pointlab.backbones import Features

            scores = self.linear(batch.points.mean(1))
            return {"all": Features(scores.unsqueeze(1), batch.points[:, :1], scores)}

    torch.manual_seed(0)
    backbone, (batch,) = Scores(), batches(1)
    found = fisher_information(backbone, nn.Identity(), [batch], CPU)
    means = batch.points.mean(1)
    probabilities = backbone.linear(means).softmax(1).detach()
    variances = probabilities * (1 - probabilities)
    assert torch.allclose(found["linear.weight"], variances.T @ means**2 / len(batch), rtol=1e-4)
    assert torch.allclose(found["linear.bias"], variances.mean(0), rtol=1e-4)
    assert not found["norm.weight"].any()  # which this model does not read


def test_neither_batches_nor_labels_matter_and_the_networks_stay_as_they_were() -> None:
    backbone, head = a_network("pointnet")
    backbone.train().requires_grad_(False)
    before = copy.deepcopy(backbone.state_dict())
    whole = clouds(4)
    halves = [
        replace(whole, points=whole.points[rows], counts=whole.counts[rows], ids=whole.ids[rows])
        for rows in (slice(0, 1), slice(1, 4))
    ]
    labelled = replace(whole, labels=torch.zeros(4, dtype=torch.int64))
    found = [fisher_information(backbone, head, given, CPU) for given in ([whole], halves, [labelled])]
    for name, values in found[0].items():
        assert torch.equal(values, found[1][name])
        assert torch.equal(values, found[2][name])
    assert backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_without_clouds_there_is_none() -> None:
    with pytest.raises(DataError, match="no cloud"):
        fisher_information(*a_network("pointnet"), [], CPU)


def weighted(coefficient: float, first: float, second: float) -> tuple[dict[str, Tensor], ...]:
    """Two ends and their mixture; the information is that everywhere, and a thousandth of it in one place."""
    one, other = (backbone.state_dict() for backbone in two_ends())
    names = [name for name, _ in Moments().named_parameters()]
    information = [{name: torch.full_like(one[name], value) for name in names} for value in (first, second)]
    information[1]["linear.bias"][2] /= 1000
    coefficients = fisher_coefficients(*information, dict.fromkeys(one, coefficient))
    return one, other, interpolate(one, other, coefficients)


def test_a_mixture_is_the_formula_entry_by_entry() -> None:
    one, other, mixed = weighted(0.3, first=2.0, second=5.0)
    c0, c1 = 0.7 * 2.0, 0.3 * torch.tensor([5.0, 5.0, 0.005, 5.0])
    expected = (c0 * one["linear.bias"] + c1 * other["linear.bias"]) / (c0 + c1)
    assert torch.allclose(mixed["linear.bias"], expected, atol=1e-6)
    statistics = 0.7 * one["norm.running_mean"] + 0.3 * other["norm.running_mean"]
    assert torch.allclose(mixed["norm.running_mean"], statistics, atol=1e-6)
    assert torch.equal(mixed["norm.num_batches_tracked"], other["norm.num_batches_tracked"])


def test_information_below_the_floor_counts_as_the_floor() -> None:
    one, other, mixed = weighted(0.3, first=0.0, second=FLOOR / 2)
    plain = interpolate(one, other, 0.3)
    assert all(torch.allclose(mixed[name], plain[name], atol=1e-6) for name in plain)


@pytest.mark.parametrize(("coefficient", "end"), [(0.0, 0), (1.0, 1)])
def test_the_ends_come_out_exactly(coefficient: float, end: int) -> None:
    *ends, mixed = weighted(coefficient, first=2.0, second=5.0)
    assert all(torch.equal(tensor, ends[end][name]) for name, tensor in mixed.items())
