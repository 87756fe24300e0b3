"""What keeps a process from Ray, told with a remedy; what Ray would wait minutes for is found out first."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator

from ray.exceptions import AuthenticationError

from pointlab.engine.token import EXPECTED, place_of_token
from pointlab.errors import PointlabError

ANSWER_SECONDS = 3.0


class JoiningError(PointlabError):
    """A cluster that this process cannot join."""


class StartingError(PointlabError):
    """A Ray that did not start on this machine."""


@contextlib.contextmanager
def joining(address: str) -> Iterator[None]:
    """Within it this process joins the cluster at `address`.

    Raises JoiningError where nothing answers there, the token is missing or wrong, or Ray cannot join it for
    another reason, such as other versions of Ray or Python.
    """
    _require_answer(address)
    try:
        yield
    except AuthenticationError as error:
        raise _about_the_token(error, address) from None
    except ConnectionError as error:
        if not _has_port(address):
            raise JoiningError(
                f"RAY_ADDRESS is {address}, and Ray says: {_first_line(error)}.",
                remedy="start a Ray with `ray start --head`, or unset RAY_ADDRESS",
            ) from None
        raise _refused(f"{address} does not let this process in") from None
    except Exception as error:  # Ray has no class for most of what keeps a process out
        raise JoiningError(
            f"{address} could not be joined: {_first_line(error)}.",
            remedy="use the Python and Ray of the cluster here, or submit the experiment to it",
        ) from error


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Within it a Ray starts on this machine.

    Raises StartingError where it does not, JoiningError where it may not, as no token was given to it.
    """
    begun = time.monotonic()
    try:
        yield
    except AuthenticationError as error:
        raise _about_the_token(error, "the Ray of this machine") from None
    except Exception as error:  # Ray has no class for most of what keeps it from starting
        seconds = time.monotonic() - begun
        raise StartingError(
            f"Ray did not start on this machine within {seconds:.0f} s{_load()}: {_first_line(error)}.",
            remedy="try again when the machine is calmer, or start a Ray with `ray start --head` and set"
            " RAY_ADDRESS to its address",
        ) from error


def _require_answer(address: str) -> None:
    if not _has_port(address):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise JoiningError(
            f"Nothing answers at RAY_ADDRESS {address}: {error.strerror or error}.",
            expected="the address and port of the head's GCS, such as 10.0.0.1:6379",
            remedy="check the address, that the head runs, and the firewall between",
        ) from None


def _has_port(address: str) -> bool:
    """Not so `auto`, which Ray looks up."""
    return address.rpartition(":")[2].isdecimal()


def _about_the_token(error: AuthenticationError, address: str) -> JoiningError:
    is_missing = "no authentication token" in str(error)
    refused = f"{address} refuses the token from {place_of_token()}"
    return _refused(f"There is no token for {address}" if is_missing else refused)


def _refused(what: str) -> JoiningError:
    return JoiningError(
        f"{what}.",
        expected=EXPECTED,
        remedy="get it with `ray get-auth-token` on the head; RAY_AUTH_MODE=disabled is for clusters without",
    )


def _first_line(error: Exception) -> str:
    """What Ray says first, without a full stop; logs of its processes may follow."""
    return str(error).strip().partition("\n")[0].rstrip(". ") or type(error).__name__


def _load() -> str:
    """How busy the machine is, where it tells."""
    try:
        return f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    except (AttributeError, OSError):
        return ""
