"""One Ray session for everything: joined if there is a cluster, started on this machine if not."""

import logging
import os
import signal
import threading
import time

import ray
import ray.data
from ray.exceptions import AuthenticationError

from pointlab.engine.environment import of_workers
from pointlab.errors import PointlabError


class StartingError(PointlabError):
    """A Ray that did not start on this machine."""


def connect() -> None:
    """Connect this process to Ray, once; a cluster that was started here ends with the process.

    SIGTERM keeps the meaning that it had, if somebody had given it one: Ray would end the process at once.
    StartingError where a Ray of our own does not start.
    """
    if ray.is_initialized():
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    begun = time.monotonic()
    try:
        ray.init(
            address="auto" if is_joined() else "local",
            runtime_env={"env_vars": of_workers()},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray has no class for most of what keeps it from starting
        if is_joined() or isinstance(error, AuthenticationError):
            raise
        raise _not_started(error, time.monotonic() - begun) from error
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)


def is_joined() -> bool:
    """Whether the session is on somebody's cluster, which may change, and not on this machine alone."""
    return bool(os.environ.get("RAY_ADDRESS"))


def first_line(error: Exception) -> str:
    """What Ray says first, without a full stop; logs of its processes may follow."""
    return str(error).strip().partition("\n")[0].rstrip(". ")


def _not_started(error: Exception, seconds: float) -> StartingError:
    said = first_line(error) or type(error).__name__
    return StartingError(
        f"Ray did not start on this machine within {seconds:.0f} s{_load()}: {said}.",
        remedy="try again when the machine is calmer, or start a Ray with `ray start --head` and set"
        " RAY_ADDRESS to its address",
    )


def _load() -> str:
    """How busy the machine is, where it tells."""
    try:
        return f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    except (AttributeError, OSError):
        return ""


def quiet_ray_data() -> ray.data.DataContext:
    """This process's Ray Data settings, with progress and plan left to the log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context
