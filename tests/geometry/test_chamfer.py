"""Chamfer distance against closed forms and a double loop, with its gradients."""

import pytest
import torch

from pointlab.errors import DataError
from pointlab.geometry import chamfer_distance

NORMS = ["l1", "l2"]


def naive_chamfer(sources, targets, norm):
    """Over lists of clouds of any length: the mean runs over all points of all clouds jointly."""

    def mean_to_nearest(clouds, others):
        squared = [
            min(((p - o) ** 2).sum() for o in other)
            for cloud, other in zip(clouds, others, strict=True)
            for p in cloud
        ]
        return torch.stack(squared).mean() if norm == "l2" else torch.stack(squared).sqrt().mean()

    there, back = mean_to_nearest(sources, targets), mean_to_nearest(targets, sources)
    return there + back if norm == "l2" else (there + back) / 2


def random_clouds(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 3, generator=generator, dtype=torch.float64) for size in sizes]


def pad(clouds):
    return torch.nn.utils.rnn.pad_sequence(clouds, batch_first=True), torch.tensor([len(c) for c in clouds])


@pytest.mark.parametrize(("norm", "expected"), [("l1", (2 + 3) / 2), ("l2", 4 + (4 + 16) / 2)])
def test_closed_form_of_one_point_against_two(norm, expected):
    source = torch.tensor([[[0.0, 0, 0]]])
    target = torch.tensor([[[2.0, 0, 0], [0, 4, 0]]])
    assert chamfer_distance(source, target, norm=norm).item() == pytest.approx(expected)


@pytest.mark.parametrize(("norm", "expected"), [("l1", 0.25), ("l2", 2 * 0.25**2)])
def test_closed_form_of_a_sparse_grid_shifted_by_a_quarter(norm, expected):
    grid = torch.cartesian_prod(*[torch.arange(3.0)] * 3)[None]
    shift = torch.tensor([0.25, 0, 0])
    assert chamfer_distance(grid, grid + shift, norm=norm).item() == pytest.approx(expected)


@pytest.mark.parametrize("norm", NORMS)
def test_padded_clouds_are_measured_like_a_double_loop_over_their_points(norm):
    sources, targets = random_clouds([5, 9, 2], seed=0), random_clouds([7, 3, 4], seed=1)
    (source, source_counts), (target, target_counts) = pad(sources), pad(targets)
    distance = chamfer_distance(
        source, target, norm=norm, source_counts=source_counts, target_counts=target_counts
    )
    torch.testing.assert_close(distance, naive_chamfer(sources, targets, norm))


@pytest.mark.parametrize("norm", NORMS)
def test_is_symmetric_and_blind_to_the_order_of_points(norm):
    source, target = (torch.stack(random_clouds([6, 6], seed)) for seed in (2, 3))
    distance = chamfer_distance(source, target, norm=norm)
    torch.testing.assert_close(chamfer_distance(target, source, norm=norm), distance)
    torch.testing.assert_close(chamfer_distance(source.flip(1), target, norm=norm), distance)


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_reach_both_sets(norm):
    source, target = (torch.stack(random_clouds([4, 4], seed)).requires_grad_() for seed in (4, 5))
    counts = torch.tensor([4, 3])
    assert torch.autograd.gradcheck(
        lambda a, b: chamfer_distance(a, b, norm=norm, source_counts=counts, target_counts=counts),
        (source, target),
    )


@pytest.mark.parametrize("norm", NORMS)
def test_padding_receives_no_gradient(norm):
    points = torch.randn(2, 5, 3, requires_grad=True)
    chamfer_distance(points, torch.randn(2, 4, 3), norm=norm, source_counts=torch.tensor([5, 2])).backward()
    assert points.grad[1, 2:].abs().max() == 0
    assert points.grad[1, :2].abs().min() > 0


@pytest.mark.parametrize("norm", NORMS)
def test_coinciding_points_have_zero_distance_and_zero_gradient(norm):
    points = torch.randn(2, 5, 3).requires_grad_()
    distance = chamfer_distance(points, points.detach().clone(), norm=norm)
    distance.backward()
    assert distance.item() == 0
    assert torch.equal(points.grad, torch.zeros(2, 5, 3))


def test_an_empty_cloud_is_an_error():
    points = torch.zeros(2, 4, 3)
    with pytest.raises(DataError, match="a cloud of 0 points"):
        chamfer_distance(points, points, source_counts=torch.tensor([4, 0]))
