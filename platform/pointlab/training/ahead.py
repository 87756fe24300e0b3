"""Reading ahead: the next batch is made while a step runs, and a source that hangs is noticed.

A thread takes items from the source, whatever it is, and is one ahead of the loop. Where none comes for
too long (a data task that hangs, a disk that is gone) the loop gets an error instead of waiting for ever.
"""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from pointlab.errors import StalledError

T = TypeVar("T")
POLL_SECONDS = 0.2
"""How soon the thread notices that nobody reads any more."""


def read_ahead(source: Iterator[T], patience: float) -> Iterator[T]:
    """The items of `source` in order; its errors are raised where the item was due.

    Raises StalledError where the next item takes longer than `patience` seconds.
    """
    items: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=1)
    is_over = threading.Event()
    threading.Thread(target=_fetch, args=(source, items, is_over), daemon=True).start()
    try:
        while True:
            kind, value = _next(items, patience)
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        is_over.set()


def _next(items: queue.Queue[tuple[str, Any]], patience: float) -> tuple[str, Any]:
    try:
        return items.get(timeout=patience)
    except queue.Empty:
        raise StalledError(
            f"No batch arrived for {patience:g} seconds: a data task hangs, or is starved.",
            remedy="look for a disk or store that does not answer and for processors that other work holds;"
            " if batches really take so long, raise launch.stall_timeout",
        ) from None


def _fetch(source: Iterator[T], items: queue.Queue[tuple[str, Any]], is_over: threading.Event) -> None:
    try:
        for item in source:
            if not _put(("item", item), items, is_over):
                break
        else:
            _put(("end", None), items, is_over)
    except BaseException as error:  # raised again by whoever waits for the item
        _put(("error", error), items, is_over)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _put(item: tuple[str, Any], items: queue.Queue[tuple[str, Any]], is_over: threading.Event) -> bool:
    while not is_over.is_set():
        try:
            items.put(item, timeout=POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False
