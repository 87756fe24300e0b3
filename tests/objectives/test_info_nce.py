"""InfoNCE in its three forms: equal to loops over the equations and to closed forms, and numerically safe."""

import math

import pytest
import torch
from torch import Tensor

from pointlab.objectives.hypersphere import alignment, uniformity, unit_length
from pointlab.objectives.info_nce import (
    CloudsOfPairs,
    nt_xent,
    paired_info_nce,
    point_info_nce,
    queue_info_nce,
)

TEMPERATURE = 0.2


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return unit_length(torch.randn(shape, generator=generator, dtype=torch.float64))


def naive(query: Tensor, positive: Tensor, others: list[Tensor]) -> float:
    """-log of the positive's share of exp(cosine / temperature) over itself and the others."""
    own = math.exp(float(query @ positive) / TEMPERATURE)
    return -math.log(own / (own + sum(math.exp(float(query @ other) / TEMPERATURE) for other in others)))


def test_nt_xent_equals_a_loop_over_the_equation() -> None:
    views = unit_length(drawn(5, 1, 3) + 0.4 * drawn(5, 2, 3, seed=1))
    flat = [(sample, view) for sample in range(5) for view in range(2)]
    losses, hits = [], []
    for sample, view in flat:
        query, positive = views[sample, view], views[sample, 1 - view]
        others = [views[s, v] for s, v in flat if s != sample]
        losses.append(naive(query, positive, others))
        hits.append(all(query @ positive > query @ other for other in others))
    found = nt_xent(views, views, 0, TEMPERATURE)
    assert found.loss.item() == pytest.approx(sum(losses) / 10, rel=1e-12)
    assert found.top_1.item() == pytest.approx(sum(hits) / 10)
    assert 0 < sum(hits) < 10


def test_nt_xent_of_shares_averages_to_that_of_the_whole() -> None:
    views = drawn(7, 2, 4)
    shares = [nt_xent(views[first:last], views, first, TEMPERATURE) for first, last in ((0, 4), (4, 7))]
    whole = nt_xent(views, views, 0, TEMPERATURE)
    assert (4 * shares[0].loss + 3 * shares[1].loss).item() / 7 == pytest.approx(whole.loss.item(), rel=1e-12)


def test_queue_and_paired_info_nce_equal_loops_over_their_equations() -> None:
    queries, keys, queue = drawn(4, 3), drawn(4, 3, seed=1), drawn(6, 3, seed=2)
    with_queue = [naive(query, key, list(queue)) for query, key in zip(queries, keys, strict=True)]
    found = queue_info_nce(queries, keys, queue, TEMPERATURE)
    assert found.loss.item() == pytest.approx(sum(with_queue) / 4, rel=1e-12)
    in_pairs = [
        naive(queries[own], keys[own], [keys[other] for other in range(4) if other != own])
        for own in range(4)
    ]
    found = paired_info_nce(queries, keys, TEMPERATURE)
    assert found.loss.item() == pytest.approx(sum(in_pairs) / 4, rel=1e-12)


def test_point_info_nce_equals_a_loop_over_clouds_and_their_pairs() -> None:
    """The keys of another worker stand before the own ones; the second of three clouds has no pair."""
    keys = drawn(7, 3)
    queries, clouds = unit_length(keys[2:] + 0.7 * drawn(5, 3, seed=1)), torch.tensor([0, 0, 0, 2, 2])
    losses, hits = [0.0] * 3, [0.0] * 3
    for pair, cloud in enumerate(clouds.tolist()):
        own = 2 + pair
        others = [keys[other] for other in range(7) if other != own]
        share = 1 / int((clouds == cloud).sum())
        losses[cloud] += share * naive(queries[pair], keys[own], others)
        hits[cloud] += share * all(queries[pair] @ keys[own] > queries[pair] @ other for other in others)
    found = point_info_nce(queries, keys, 2, CloudsOfPairs(clouds, 3), TEMPERATURE)
    assert found.loss.item() == pytest.approx(sum(losses) / 3, rel=1e-12)
    assert found.top_1.item() == pytest.approx(sum(hits) / 3)
    assert 0 < sum(hits) < 2


def test_features_that_have_collapsed_are_no_hits() -> None:
    """All cosines are equal then: a positive that only comes first is not the nearest."""
    same = unit_length(torch.ones(6, 2, 4))
    one, other = same.unbind(1)
    clouds = torch.zeros(6, dtype=torch.int64)
    for contrast in (
        nt_xent(same, same, 0, TEMPERATURE),
        queue_info_nce(one, other, one[:3], TEMPERATURE),
        paired_info_nce(one, other, TEMPERATURE),
        point_info_nce(one, other, 0, CloudsOfPairs(clouds, 1), TEMPERATURE),
    ):
        assert contrast.top_1.item() == 0


@pytest.mark.parametrize("temperature", [0.07, 1e-3])
def test_equal_features_give_the_logarithm_of_the_number_of_candidates(temperature: float) -> None:
    same = unit_length(torch.ones(6, 2, 4))
    one, other = same.unbind(1)
    assert nt_xent(same, same, 0, temperature).loss.item() == pytest.approx(math.log(2 * 6 - 1), rel=1e-6)
    assert queue_info_nce(one, other, one[:3], temperature).loss.item() == pytest.approx(math.log(1 + 3))
    assert paired_info_nce(one, other, temperature).loss.item() == pytest.approx(math.log(6), rel=1e-6)


def test_orthogonal_samples_with_equal_views_give_the_closed_form() -> None:
    axes = torch.eye(5, dtype=torch.float64)
    views = torch.stack([axes, axes], dim=1)
    inverse = math.exp(-1 / TEMPERATURE)
    found = nt_xent(views, views, 0, TEMPERATURE)
    assert found.loss.item() == pytest.approx(math.log1p(8 * inverse), rel=1e-12)
    assert found.top_1.item() == 1
    assert paired_info_nce(axes, axes, TEMPERATURE).loss.item() == pytest.approx(math.log1p(4 * inverse))
    queue = axes[:1]  # a negative like the first query, and unlike the others
    expected = (math.log(2) + 4 * math.log1p(inverse)) / 5
    assert queue_info_nce(axes, axes, queue, TEMPERATURE).loss.item() == pytest.approx(expected, rel=1e-12)


def test_a_tiny_temperature_and_a_single_sample_stay_finite() -> None:
    views = drawn(4, 2, 3).float().requires_grad_()
    loss = nt_xent(views, views, 0, 1e-4).loss  # exponents up to 10,000
    loss.backward()
    assert loss.isfinite()
    assert views.grad is not None
    assert views.grad.isfinite().all()
    alone = nt_xent(views[:1], views[:1], 0, TEMPERATURE)
    assert (alone.loss.item(), alone.top_1.item()) == (0, 1)


def test_autocast_does_not_lower_the_precision() -> None:
    views = drawn(8, 2, 16).float()
    expected = nt_xent(views, views, 0, 0.07).loss
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nt_xent(views, views, 0, 0.07).loss, expected)
        assert unit_length(views.bfloat16()).dtype == torch.float32


def test_alignment_and_uniformity_have_their_closed_forms() -> None:
    axes = torch.eye(4)
    assert alignment(axes, axes).item() == 0
    assert alignment(axes, axes.roll(1, 0)).item() == pytest.approx(2)
    assert alignment(axes, -axes).item() == pytest.approx(4)
    assert uniformity(axes).item() == pytest.approx(-4)  # all distances are √2
    assert uniformity(axes[:1].expand(3, -1)).item() == uniformity(axes[:1]).item() == 0
