"""Codes: Gumbel-softmax, the pull towards even use and the schedules equal their closed forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from pointlab.objectives.codes import (
    Choice,
    Codebook,
    codes_used,
    cosine_between,
    divergence_from_even_use,
    likeliest_codes,
)

LOGITS = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def codebook() -> Codebook:
    torch.manual_seed(1)
    return Codebook(5, 4).double()


def gumbel_shares(temperature: float) -> Tensor:
    """softmax((logits + noise) / temperature), with the noise that torch draws after `manual_seed(2)`."""
    torch.manual_seed(2)
    noise = -torch.empty_like(LOGITS).exponential_().log()
    scores = ((LOGITS + noise) / temperature).exp()
    return scores / scores.sum(2, keepdim=True)


def chosen(codes: Codebook, choice: Choice, temperature: float) -> Tensor:
    torch.manual_seed(2)
    found: Tensor = codes(LOGITS, choice, temperature)
    return found


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_soft_choices_mix_the_entries_by_gumbel_softmax(temperature: float) -> None:
    codes, shares = codebook(), gumbel_shares(temperature)
    expected = sum(shares[:, :, [code]] * codes.entries[code] for code in range(5))
    torch.testing.assert_close(chosen(codes, "soft", temperature), expected)


def test_hard_choices_are_single_entries_whose_gradient_is_that_of_the_mixture() -> None:
    codes, best = codebook(), gumbel_shares(0.3).argmax(2)
    torch.testing.assert_close(chosen(codes, "hard", 0.3), codes.entries[best])
    gradients = []
    for choice in ("hard", "soft"):
        logits = LOGITS.clone().requires_grad_()
        torch.manual_seed(2)
        (codes(logits, choice, 0.3) * torch.arange(4)).sum().backward()
        gradients.append(logits.grad)
    assert gradients[0] is not None
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)


def test_hard_choices_are_as_frequent_as_the_softmax_says() -> None:
    torch.manual_seed(0)
    codes = Codebook(3, 3)
    codes.entries.data = torch.eye(3)
    logits = torch.tensor([2.0, 0.0, 1.0])
    shares = codes(logits.expand(1, 20_000, 3), "hard", 1.0).mean((0, 1))
    torch.testing.assert_close(shares, logits.softmax(0), atol=0.015, rtol=0)  # four standard errors


def test_the_likeliest_code_draws_nothing() -> None:
    codes, before = codebook(), torch.get_rng_state()
    assert torch.equal(codes(LOGITS, "likeliest"), codes.entries[LOGITS.argmax(2)])
    assert torch.equal(torch.get_rng_state(), before)
    assert likeliest_codes(torch.tensor([[[0.0, 1.0, 1.0]]])).item() == 1


def test_the_divergence_is_that_of_even_use_from_a_clouds_mean_averaged_over_clouds() -> None:
    clouds = [
        kl_divergence(Categorical(torch.ones(5).double()), Categorical(cloud.softmax(1).mean(0)))
        for cloud in LOGITS
    ]
    torch.testing.assert_close(divergence_from_even_use(LOGITS), torch.stack(clouds).mean())


def test_the_divergence_vanishes_where_codes_are_used_alike_and_stays_finite_where_one_is_not() -> None:
    each_its_own = 50 * torch.eye(4).unsqueeze(0)
    assert divergence_from_even_use(each_its_own).item() == pytest.approx(0, abs=1e-6)
    one_for_all = torch.tensor([1000.0, 0, 0, 0]).expand(1, 3, 4)
    assert divergence_from_even_use(one_for_all).item() == pytest.approx(750 - torch.tensor(4.0).log().item())


@pytest.mark.parametrize(
    ("step", "temperature", "weight"),
    [
        (0, 1.0, 0.0),
        (10_000, 0.977_057_7, 0.0),
        (50_000, 0.531_25, 0.034_549_15),
        (60_000, 0.386_398_3, 0.05),
        (100_000, 0.0625, 0.097_552_83),
        (110_000, 0.0625, 0.1),
        (197_000, 0.0625, 0.1),
    ],
)
def test_the_released_schedules_at_named_steps(step: int, temperature: float, weight: float) -> None:
    assert cosine_between(step, 1.0, 0.0625, 100_000) == pytest.approx(temperature, rel=1e-6)
    assert cosine_between(step, 0.0, 0.1, 100_000, delay=10_000) == pytest.approx(weight, rel=1e-6)


def test_codes_used_counts_the_codes_as_if_they_were_used_evenly() -> None:
    scores = torch.eye(5)
    assert codes_used(scores[torch.tensor([[0, 1], [2, 3]])]).item() == pytest.approx(4)
    assert codes_used(scores[torch.tensor([[2, 2], [2, 2]])]).item() == pytest.approx(1)
    uneven = codes_used(scores[torch.tensor([[0, 0], [0, 1]])]).log().item()
    assert uneven == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
