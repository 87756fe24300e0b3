"""One Ray session for everything: joined if there is a cluster, started on this machine if not."""

import logging
import os
import signal
import threading

import ray
import ray.data

from pointlab.engine.environment import of_workers
from pointlab.errors import ResourceError


def connect() -> None:
    """Connect this process to Ray, once; a cluster that was started here ends with the process.

    SIGTERM keeps the meaning that it had, if somebody had given it one: Ray would end the process at once.
    Raises ResourceError where Ray's processes do not come up in the half minute that it gives them.
    """
    if ray.is_initialized():
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address="auto" if is_joined() else "local",
            runtime_env={"env_vars": of_workers()},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        if (
            type(error) is not Exception
        ):  # Ray says with a bare one that its processes did not come up in time
            raise
        ray.shutdown()
        raise not_started(error) from None
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)


def not_started(error: Exception) -> ResourceError:
    """What Ray said of processes that did not come up, with how busy this machine is."""
    load, said = os.getloadavg()[0], str(error).rstrip(".")
    return ResourceError(
        f"Ray did not start on this machine: {said}. Its load is {load:.0f} on {os.cpu_count()} CPUs.",
        remedy="try again when the machine is less busy, or start a Ray by hand and set RAY_ADDRESS",
    )


def is_joined() -> bool:
    """Whether the session is on somebody's cluster, which may change, and not on this machine alone."""
    return bool(os.environ.get("RAY_ADDRESS"))


def quiet_ray_data() -> ray.data.DataContext:
    """This process's Ray Data settings, with progress and plan left to the log files."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context
