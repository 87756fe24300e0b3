"""A barrier is the excess of the loss over the line between its ends."""

import math

import pytest

from pointlab.errors import TransferError
from pointlab.transfer.barrier import barrier


def test_a_barrier_is_the_largest_excess_over_the_line_between_the_ends() -> None:
    losses = {0.0: 2.0, 0.25: 2.5, 0.5: 1.9, 0.75: 1.0, 1.0: 1.0}
    # above the line from 2 to 1: 0.75 at 0.25, 0.4 at 0.5, and below it at 0.75
    assert barrier(losses) == pytest.approx(0.75)


def test_a_hill_that_is_lower_than_the_worse_end_is_a_barrier_still() -> None:
    assert barrier({0.0: 3.0, 0.5: 2.9, 1.0: 1.0}) == pytest.approx(0.9)


@pytest.mark.parametrize("middle", [0.2, 1.5])
def test_a_loss_on_the_line_or_below_has_no_barrier(middle: float) -> None:
    assert barrier({0.0: 2.0, 0.5: middle, 1.0: 1.0}) == 0.0


def test_the_order_of_the_coefficients_does_not_matter() -> None:
    assert barrier({1.0: 1.0, 0.5: 3.0, 0.0: 2.0}) == barrier({0.0: 2.0, 0.5: 3.0, 1.0: 1.0}) == 1.5


def test_a_loss_that_is_no_number_hides_no_barrier() -> None:
    assert math.isnan(barrier({0.0: 1.0, 0.3: 5.0, 0.5: math.nan, 1.0: 1.0}))
    assert math.isnan(barrier({0.0: math.inf, 0.5: 1.0, 1.0: 1.0}))


@pytest.mark.parametrize(("missing", "name"), [(0.0, "coefficient 0"), (1.0, "coefficient 1")])
def test_without_an_end_there_is_no_line(missing: float, name: str) -> None:
    losses = {0.0: 1.0, 0.5: 1.0, 1.0: 1.0}
    del losses[missing]
    with pytest.raises(TransferError, match=name):
        barrier(losses)
