"""One Ray session for everything: joined if there is a cluster, started on this machine if not."""

import logging
import os
import signal
import threading

import ray
import ray.data

from pointlab.engine.environment import of_workers
from pointlab.engine.joining import joining, starting


def connect() -> None:
    """Connect this process to Ray, once: to the cluster in RAY_ADDRESS, or to one that is started here and
    ends with the process.

    SIGTERM keeps the meaning that it had, if somebody had given it one: Ray would end the process at once.
    Raises JoiningError where that cluster cannot be joined; StartingError where none of our own starts.
    """
    if ray.is_initialized():
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    address = os.environ.get("RAY_ADDRESS")
    with joining(address) if address else starting():
        ray.init(
            address="auto" if address else "local",
            runtime_env={"env_vars": of_workers()},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)


def is_joined() -> bool:
    """Whether the session is on somebody's cluster, which may change, and not on this machine alone."""
    return bool(os.environ.get("RAY_ADDRESS"))


def whereabouts() -> str:
    """The Ray that this process is connected to, in words."""
    return f"the cluster at {os.environ['RAY_ADDRESS']}" if is_joined() else "a Ray started on this machine"


def quiet_ray_data() -> ray.data.DataContext:
    """This process's Ray Data settings, with progress and plan left to the log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context
