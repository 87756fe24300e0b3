"""Two Ray nodes on one machine, each in a network namespace with an address of its own.

A veth pair joins the namespaces, and nothing else: what runs outside reaches neither. A node is lost by
killing every process of its namespace at once, which is how the others see a machine that has crashed.
"""

import contextlib
import ctypes
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster.namespaces import Namespaces, ip, namespaces
from ray_nodes import short_folder

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT = 6399
SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # a lost node is noticed within seconds, and so the tests are short
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class TwoNodes:
    """A head node, and another one that comes and goes."""

    def __init__(self, spaces: Namespaces) -> None:
        self.environment: dict[str, str] = {}
        self._spaces = spaces
        self._other: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What a driver in the head's namespace has in RAY_ADDRESS."""
        return f"{HEAD}:{PORT}"

    def build(self) -> None:
        """Lay the cable between them."""
        head, other = (self._spaces.spaces[name] for name in ("head", "other"))
        ip("link", "add", "cable", "netns", head, "type", "veth", "peer", "name", "cable", "netns", other)
        self._spaces.set_up("head", HEAD)
        self._spaces.set_up("other", OTHER)

    def start_head(self, cpus: int, environment: Mapping[str, str]) -> None:
        """Start the node with Ray's books; `environment` is what all nodes get."""
        self.environment = dict(environment)
        options = ("--head", f"--port={PORT}", "--include-dashboard=false")
        self._start("head", HEAD, cpus, *options, f"--temp-dir={self._spaces.folder}")

    def join(self, cpus: int) -> None:
        """Start the other node and return when it has joined."""
        self._other = self._start("other", OTHER, cpus, f"--address={self.address}")

    def lose(self) -> None:
        """SIGKILL to every process of the other node."""
        self._spaces.kill_all("other")

    def retire(self) -> None:
        """SIGTERM to the other node, which leaves within half a minute, as a spot instance does."""
        assert self._other is not None, "it has joined"
        self._other.terminate()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """A block in which this thread, and what it starts, is in the head's namespace."""
        with Path("/proc/thread-self/ns/net").open() as here, self._spaces.path("head").open() as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(here.fileno())

    def _start(self, name: str, address: str, cpus: int, *options: str) -> subprocess.Popen[bytes]:
        own = (f"--node-ip-address={address}", f"--num-cpus={cpus}", "--object-store-memory=100000000")
        return self._spaces.start_node(name, [*options, *own], {**SETTINGS, **self.environment})


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Two namespaces for Ray nodes, removed with all that runs in them, however the block ends."""
    with short_folder() as folder, namespaces(("head", "other"), folder) as spaces:
        nodes = TwoNodes(spaces)
        nodes.build()
        yield nodes


def _set_namespace(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "cannot change the network namespace")
