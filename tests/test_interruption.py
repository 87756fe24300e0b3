"""SIGTERM is a wish, which everybody who listens hears; a second one is an order."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from pointlab.interruption import EXIT_CODE, exit_on_sigterm, stop_on_sigterm


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What reaches the process behind all blocks."""
    signals: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, previous)


def test_blocks_within_each_other_all_hear_the_first_sigterm_and_none_a_second(heard: list[int]) -> None:
    with stop_on_sigterm() as outer:
        with stop_on_sigterm() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert outer.is_set()
            assert inner.is_set()
            assert heard == []
        os.kill(os.getpid(), signal.SIGTERM)  # the outer block has not ended, and has heard of it already
        assert heard == [signal.SIGTERM]


def test_after_a_block_that_heard_nothing_the_one_around_it_still_listens(heard: list[int]) -> None:
    with stop_on_sigterm() as outer:
        with stop_on_sigterm() as inner:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert outer.is_set()
        assert not inner.is_set()
    assert heard == []
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_the_first_sigterm_leaves_a_block_that_tidies_up_and_a_second_does_what_it_would_have(
    heard: list[int],
) -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)  # it does not come to this
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as left, exit_on_sigterm():
        work()
    assert left.value.code == EXIT_CODE
    assert heard == [signal.SIGTERM]
    os.kill(os.getpid(), signal.SIGTERM)
    assert len(heard) == 2
