"""Two Ray nodes on one machine, each in a network namespace with an address of its own.

A veth pair joins the namespaces, and nothing else: what runs outside reaches neither. A node is lost by
killing every process of its namespace at once, which is how the others see a machine that has crashed.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT = 6399
START_SECONDS = 90
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # a lost node is noticed within seconds, and so the tests are short
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class TwoNodes:
    """A head node, and another one that comes and goes; `folder` is where their logs are."""

    def __init__(self, folder: Path) -> None:
        token = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.folder = folder
        self.spaces = {HEAD: f"pl-{token}-head", OTHER: f"pl-{token}-other"}
        self.environment: dict[str, str] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        """What a driver in the head's namespace has in RAY_ADDRESS."""
        return f"{HEAD}:{PORT}"

    def build(self) -> None:
        """Make the namespaces and the cable between them."""
        for space in self.spaces.values():
            _ip("netns", "add", space)
        head, other = self.spaces.values()
        _ip("link", "add", "cable", "netns", head, "type", "veth", "peer", "name", "cable", "netns", other)
        for address, space in self.spaces.items():
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "cable")
            for interface in ("lo", "cable"):
                _ip("-n", space, "link", "set", interface, "up")

    def start_head(self, cpus: int, environment: Mapping[str, str]) -> None:
        """Start the node with Ray's books; `environment` is what all nodes get."""
        self.environment = dict(environment)
        options = ("--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={self.folder}")
        self._start_node(HEAD, cpus, *options)

    def join(self, cpus: int) -> None:
        """Start the other node and return when it has joined."""
        self._start_node(OTHER, cpus, f"--address={self.address}")

    def lose(self) -> None:
        """SIGKILL to every process of the other node."""
        _kill_all(self.spaces[OTHER])

    def retire(self) -> None:
        """SIGTERM to the other node, which leaves within half a minute, as a spot instance does."""
        self._children[-1].terminate()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """A block in which this thread, and what it starts, is in the head's namespace."""
        with (
            Path("/proc/thread-self/ns/net").open() as here,
            Path(f"/run/netns/{self.spaces[HEAD]}").open() as there,
        ):
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(here.fileno())

    def tear_down(self) -> None:
        """Kill what runs in the namespaces and remove them; whatever was built is gone."""
        for space in self.spaces.values():
            if Path(f"/run/netns/{space}").exists():
                _kill_all(space)
                _ip("netns", "del", space)
        for child in self._children:
            child.wait()

    def _start_node(self, address: str, cpus: int, *options: str) -> None:
        log = self.folder / f"{address}.log"
        common = (f"--node-ip-address={address}", f"--num-cpus={cpus}", "--object-store-memory=100000000")
        command = ["ip", "netns", "exec", self.spaces[address], *RAY, "start", *options, *common, "--block"]
        with log.open("wb") as output:
            self._children.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **SETTINGS, **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )
        wait_until(lambda: "Ray runtime started" in log.read_text(), START_SECONDS, log.read_text)


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Two namespaces for Ray nodes, removed with all that runs in them, however the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))  # sockets lie in it: their paths must be short
    nodes = TwoNodes(folder)
    try:
        nodes.build()
        yield nodes
    finally:
        nodes.tear_down()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(is_true: Callable[[], bool], seconds: float, story: Callable[[], str]) -> None:
    """Wait for a condition; an assertion fails with the story where it does not come."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"what the test waits for did not happen: {story()}"
        time.sleep(0.05)


def has_namespaces() -> bool:
    """Whether this process may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    space = f"pl-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", space], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "del", space)
    return True


def _kill_all(space: str) -> None:
    while pids := set(map(int, _ip("netns", "pids", space).split())) - {os.getpid()}:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _set_namespace(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "cannot change the network namespace")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
