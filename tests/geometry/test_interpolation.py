"""Interpolation of features against a loop over the points, with the weights of the paper."""

import pytest
import torch
from torch import Tensor

from pointlab.geometry import interpolate_features


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive(query: Tensor, places: Tensor, features: Tensor) -> Tensor:
    """The mean over the nearest three, or all there are, with weights 1 / d²."""
    distances = [float((query - place).norm()) for place in places]
    nearest = sorted(range(len(places)), key=lambda place: distances[place])[:3]
    weights = [1 / distances[place] ** 2 for place in nearest]
    return sum(weight * features[place] for weight, place in zip(weights, nearest, strict=True)) / sum(
        weights
    )


@pytest.mark.parametrize("num_places", [1, 2, 3, 9])
def test_a_point_takes_the_mean_of_the_three_nearest_by_inverse_squared_distance(num_places: int) -> None:
    queries, places = drawn(2, 15, 3, seed=0), drawn(2, num_places, 3, seed=1)
    features = drawn(2, num_places, 4, seed=2)
    found = interpolate_features(queries, places, features)
    for cloud in range(2):
        expected = [naive(query, places[cloud], features[cloud]) for query in queries[cloud]]
        torch.testing.assert_close(found[cloud], torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_a_point_that_is_a_place_takes_its_feature() -> None:
    places, features = drawn(1, 8, 3, seed=1), drawn(1, 8, 4, seed=2)
    torch.testing.assert_close(interpolate_features(places, places, features), features, rtol=0, atol=1e-5)


def test_padded_points_get_zeros_and_others_do_not_notice() -> None:
    queries, places, features = drawn(2, 6, 3, seed=0), drawn(2, 5, 3, seed=1), drawn(2, 5, 4, seed=2)
    whole = interpolate_features(queries, places, features)
    found = interpolate_features(queries, places, features, torch.tensor([6, 2]))
    assert torch.equal(found[0], whole[0])
    assert torch.equal(found[1, :2], whole[1, :2])
    assert not found[1, 2:].any()


def test_gradients_reach_the_features_with_the_weights() -> None:
    queries, places = drawn(1, 7, 3, seed=0), drawn(1, 5, 3, seed=1)
    features = drawn(1, 5, 2, seed=2).requires_grad_()
    interpolate_features(queries, places, features).sum().backward()
    weights = interpolate_features(queries, places, torch.eye(5, dtype=torch.float64)[None])
    assert features.grad is not None
    torch.testing.assert_close(features.grad[0, :, 0], weights[0].sum(0))
