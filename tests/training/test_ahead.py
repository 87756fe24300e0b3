"""Reading ahead gives the source's items and errors, and notices a source that hangs."""

import threading
from collections.abc import Iterator

import pytest

from pointlab.errors import DataError, StalledError
from pointlab.training.ahead import read_ahead


def test_items_come_in_order() -> None:
    assert list(read_ahead(iter(range(100)), patience=5)) == list(range(100))


def test_an_error_is_raised_where_the_item_was_due() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise DataError("The second item is unusable.")

    items = read_ahead(source(), patience=5)
    assert next(items) == 1
    with pytest.raises(DataError, match="second item"):
        next(items)


def test_a_source_that_hangs_is_an_error_that_may_pass() -> None:
    release = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        release.wait(30)
        yield 2

    items = read_ahead(source(), patience=0.2)
    assert next(items) == 1
    with pytest.raises(StalledError, match=r"No batch arrived for 0\.2 seconds") as caught:
        next(items)
    release.set()
    assert caught.value.is_transient


def test_the_source_is_closed_when_nobody_reads_on() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    items = read_ahead(source(), patience=5)
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert closed.wait(5)
