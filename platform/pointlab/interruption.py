"""SIGTERM, with which schedulers and spot instances ask a process to end: a request to save and leave.

What has nothing to save takes back what it has begun elsewhere, as after Ctrl-C.
"""

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

logger = logging.getLogger(__name__)
EXIT_CODE = 128 + signal.SIGTERM
"""What a shell reports for a process that SIGTERM ended; not zero, as the work is not done."""


class _Request:
    """A handler of SIGTERM; where another block lies around this one, that hears of it too."""

    def __init__(self, stop: threading.Event) -> None:
        """Set `stop`; before, SIGTERM does what it does now."""
        self.stop = stop
        self.is_heard = False
        self.previous = signal.getsignal(signal.SIGTERM)

    @property
    def outermost(self) -> Any:
        """What SIGTERM does without this block and those around it."""
        return self.previous.outermost if isinstance(self.previous, _Request) else self.previous

    def __call__(self, *_: object) -> None:
        logger.warning("Asked to end (SIGTERM): saving after the present step")
        self.hear()
        signal.signal(signal.SIGTERM, self.outermost)

    def hear(self) -> None:
        """Pass it on."""
        self.is_heard = True
        self.stop.set()
        if isinstance(self.previous, _Request):
            self.previous.hear()


@contextlib.contextmanager
def stop_on_sigterm(stop: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event, `stop` if given, that SIGTERM sets while the block runs; outside the main thread none does.

    Of blocks within each other all hear it. A second SIGTERM does what it would have done without them.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    request = _Request(stop)
    signal.signal(signal.SIGTERM, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, request.outermost if request.is_heard else request.previous)


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """A block that SIGTERM leaves as Ctrl-C would: the process tidies up, and ends with EXIT_CODE.

    A second SIGTERM does what it would have done without the block; outside the main thread both do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, previous)
        sys.exit(EXIT_CODE)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
