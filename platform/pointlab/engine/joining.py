"""Joining a cluster for a look at it: what Ray would wait for, or die of, is found out first."""

import os
import socket

import ray
from ray.exceptions import AuthenticationError

from pointlab.engine.session import connect, first_line, is_joined
from pointlab.errors import PointlabError

ANSWER_SECONDS = 3.0


class JoiningError(PointlabError):
    """A cluster that this process cannot join."""


def join() -> str:
    """Connect to the cluster in RAY_ADDRESS, or to one started here; what was joined, in words.

    Raises JoiningError where nothing answers at the address, the token is missing or wrong, or the versions
    of Ray or Python differ; StartingError where one of our own does not start.
    """
    address = os.environ.get("RAY_ADDRESS") or "the Ray of this machine"
    if is_joined() and not ray.is_initialized():
        _require_answer(address)
    try:
        connect()
    except AuthenticationError as error:
        is_missing = "no authentication token" in str(error)
        what = f"There is no token for {address}" if is_missing else f"{address} refuses the token"
        raise _about_the_token(what) from None
    except ConnectionError:
        raise _about_the_token(f"{address} does not let this process in") from None
    except RuntimeError as error:
        raise JoiningError(
            f"{address} could not be joined: {first_line(error)}.",
            remedy="use the Python and Ray of the cluster here, or submit the experiment to it",
        ) from None
    return f"the cluster at {address}" if is_joined() else "a Ray started on this machine"


def _require_answer(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return  # such as auto, which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise JoiningError(
            f"Nothing answers at RAY_ADDRESS {address}: {error.strerror or error}.",
            expected="the address and port of the head's GCS, such as 10.0.0.1:6379",
            remedy="check the address, that the head runs, and the firewall between",
        ) from None


def _about_the_token(what: str) -> JoiningError:
    return JoiningError(
        f"{what}.",
        expected="the cluster's token in RAY_AUTH_TOKEN, or in the file that RAY_AUTH_TOKEN_PATH names",
        remedy="get it with `ray get-auth-token` on the head; RAY_AUTH_MODE=disabled is for clusters without",
    )
