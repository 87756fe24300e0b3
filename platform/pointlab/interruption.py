"""SIGTERM, with which schedulers and spot instances ask a process to end: a request to save and leave."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

logger = logging.getLogger(__name__)
EXIT_CODE = 128 + signal.SIGTERM
"""What a shell reports for a process that SIGTERM ended; not zero, as the work is not done."""


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets while the block runs; outside the main thread nothing sets it.

    A second SIGTERM does what it would have done without the block.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask_to_stop(*_: object) -> None:
        logger.warning("Asked to end (SIGTERM): saving after the present step")
        stop.set()
        signal.signal(signal.SIGTERM, previous)

    previous = signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)
