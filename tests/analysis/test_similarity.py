"""CKA and ranks against closed forms and against their definitions written out."""

import math

import pytest
import torch

from pointlab.analysis.ranks import effective_rank, rank_me
from pointlab.analysis.similarity import centred_kernel_alignment, unbiased_products

DRAW = torch.Generator().manual_seed(0)
ESTIMATORS = pytest.mark.parametrize("estimator", ["unbiased", "biased"])


def rotation(size: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=DRAW, dtype=torch.float64))[0]


def naive_hsic(one: torch.Tensor, other: torch.Tensor) -> float:
    """HSIC_1 of Song et al. in sums over pairs and triples of clouds, of Gram matrices without diagonals."""
    n = len(one)
    first, second = (x @ x.T * (1 - torch.eye(n, dtype=x.dtype)) for x in (one, other))
    trace = sum(float(first[i, j] * second[j, i]) for i in range(n) for j in range(n))
    apart = float(first.sum()) * float(second.sum())
    shared = sum(float(first[i, j] * second[j, m]) for i in range(n) for j in range(n) for m in range(n))
    return (trace + apart / ((n - 1) * (n - 2)) - 2 * shared / (n - 2)) / (n * (n - 3))


@ESTIMATORS
def test_a_rotated_scaled_and_shifted_copy_is_the_same_representation(estimator: str) -> None:
    features = torch.randn(50, 6, generator=DRAW) + 3
    copy = (features.double() @ rotation(6) * 7 - 100).float()
    values = centred_kernel_alignment([features, copy], estimator, 16)
    assert torch.allclose(values, torch.ones(2, 2, dtype=torch.float64), atol=1e-5)


def test_the_unbiased_products_are_the_definition() -> None:
    stages = [torch.randn(7, width, generator=DRAW, dtype=torch.float64) + 1 for width in (2, 5, 3)]
    products = unbiased_products(torch.stack([x @ x.T for x in stages]))
    expected = torch.tensor([[naive_hsic(x, y) for y in stages] for x in stages], dtype=torch.float64)
    assert torch.allclose(products, expected)


def test_independent_noise_is_unlike_without_bias_and_alike_with_it() -> None:
    noise = [torch.randn(128, 200, generator=DRAW) for _ in range(2)]
    unbiased, biased = (float(centred_kernel_alignment(noise, e, 32)[0, 1]) for e in ("unbiased", "biased"))
    assert abs(unbiased) < 0.05
    assert biased > 0.5


def test_the_biased_value_is_that_of_the_whole_feature_matrices() -> None:
    x, y = (torch.randn(30, width, generator=DRAW, dtype=torch.float64) for width in (4, 9))
    x, y = x - x.mean(0), y - y.mean(0)
    expected = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    assert torch.isclose(centred_kernel_alignment([x, y], "biased", 7)[0, 1], expected)


def test_what_does_not_vary_is_like_nothing() -> None:
    collapsed = torch.full((7, 3), 0.1)
    values = centred_kernel_alignment([collapsed, torch.randn(7, 3, generator=DRAW)], "unbiased", 4)
    assert bool(values[0].isnan().all())
    assert float(values[1, 1]) == pytest.approx(1)
    assert effective_rank(collapsed) == 1


def test_equal_singular_values_count_and_one_direction_is_one() -> None:
    orthonormal = 5 * rotation(40)[:, :8]
    assert rank_me(orthonormal) == pytest.approx(8, rel=1e-4)
    one = torch.linspace(1, 2, 40).outer(torch.tensor([1.0, -2.0, 3.0]))
    assert rank_me(one) == pytest.approx(1, rel=1e-4)
    assert effective_rank(one) == pytest.approx(1, rel=1e-4)


def test_the_effective_rank_does_not_count_the_mean() -> None:
    centred = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert effective_rank(centred + 100) == pytest.approx(2, rel=1e-5)
    assert rank_me(centred + 100) < 1.1


def test_the_effective_rank_is_the_exponential_of_the_entropy() -> None:
    values = torch.tensor([3.0, 1.0])
    features = torch.cat([torch.diag(values), -torch.diag(values)])
    assert effective_rank(features) == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))
