"""The order of samples is f(seed, epoch), addressed by position, and shared out without loss."""

import numpy as np
import pytest

from pointlab.data.order import Share, locate, num_steps


def test_every_epoch_holds_every_row_once() -> None:
    epochs, rows = locate(np.arange(3 * 7), seed=5, num_rows=7)
    for epoch in range(3):
        assert sorted(rows[epochs == epoch]) == list(range(7))


def test_epochs_differ_and_repeat_for_equal_seeds() -> None:
    first = locate(np.arange(40), seed=1, num_rows=20)[1]
    again = locate(np.arange(40), seed=1, num_rows=20)[1]
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:20], first[20:])
    assert not np.array_equal(first, locate(np.arange(40), seed=2, num_rows=20)[1])


def test_a_position_is_located_without_those_before_it() -> None:
    whole = locate(np.arange(50), seed=3, num_rows=9)[1]
    assert np.array_equal(locate(np.arange(31, 44), seed=3, num_rows=9)[1], whole[31:44])


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [5, 8, 13])
def test_workers_share_a_batch_without_overlap_and_differ_by_one_at_most(
    world_size: int, batch_size: int
) -> None:
    shares = [Share(batch_size, rank, world_size) for rank in range(world_size)]
    positions = np.concatenate([share.positions(step=4) for share in shares])
    assert np.array_equal(positions, np.arange(4 * batch_size, 5 * batch_size))
    sizes = [share.size for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_worker_with_micro_batches_sees_what_workers_see() -> None:
    alone = Share(10, accumulation=4).borders
    together = [border for rank in range(2) for border in Share(10, rank, 2, accumulation=2).borders]
    assert alone == together


def test_steps_cover_the_epochs_and_fill_the_last_batch() -> None:
    assert num_steps(num_rows=10, epochs=1, batch_size=4) == 3
    assert num_steps(num_rows=10, epochs=2, batch_size=4) == 5
    assert num_steps(num_rows=3, epochs=0.1, batch_size=8) == 1
