"""Four machines on one: the head and another node of a cluster, a store, and a laptop, each in a namespace.

A bridge in a fifth namespace joins them. The nodes take jobs with a token alone and have the store's keys in
their environment; the laptop has the token, and no keys.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cluster.two_nodes import RAY, SETTINGS, START_SECONDS, wait_until
from s3_server import S3Server

ADDRESSES = {"head": "10.78.0.1", "other": "10.78.0.2", "store": "10.78.0.3", "laptop": "10.78.0.4"}
PORT, JOBS_PORT = 6398, 8265
SERVER = f"http://{ADDRESSES['head']}:{JOBS_PORT}"
BUCKET = "s3://pointlab"
SOURCE = Path(__file__).resolve().parents[2] / "platform"


class Network:
    """The machines, and what runs on them; `folder` is where logs are."""

    def __init__(self, folder: Path) -> None:
        mark = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.spaces = {name: f"pl-{mark}-{name}" for name in (*ADDRESSES, "hub")}
        self.server: S3Server | None = None
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def build(self) -> None:
        """Make the namespaces, the bridge and a cable from each to it."""
        for space in self.spaces.values():
            _ip("netns", "add", space)
        hub = self.spaces["hub"]
        _ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", hub, "link", "set", "bridge", "up")
        for name, address in ADDRESSES.items():
            space = self.spaces[name]
            _ip("link", "add", "cable", "netns", space, "type", "veth", "peer", "name", name, "netns", hub)
            _ip("-n", hub, "link", "set", name, "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "cable")
            for interface in ("lo", "cable"):
                _ip("-n", space, "link", "set", interface, "up")

    def command(self, name: str) -> list[str]:
        """What goes before a command that is to run on that machine."""
        return ["ip", "netns", "exec", self.spaces[name]]

    def start_store(self) -> None:
        """Start the store with its bucket."""
        self.server = S3Server(self.folder / "store", ADDRESSES["store"], self.command("store"))
        self.server.start()
        self.server.make_bucket("pointlab")

    def keys(self) -> dict[str, str]:
        """The environment of a process that uses the store."""
        assert self.server is not None, "the store runs"
        return self.server.environment()

    def start_head(self, cpus: int) -> None:
        """Start the node with Ray's books and the job server."""
        jobs = ("--include-dashboard=true", f"--dashboard-host={ADDRESSES['head']}")
        options = ("--head", f"--port={PORT}", *jobs, f"--dashboard-port={JOBS_PORT}")
        self._start_node("head", cpus, RAY, [*options, f"--temp-dir={self.folder}"], {})

    def join(self, cpus: int, ray: Sequence[str] = RAY, changed: Mapping[str, str] | None = None) -> None:
        """Have the other node leave and join again, perhaps with another Ray or a changed environment."""
        self.leave()
        self._start_node("other", cpus, ray, [f"--address={ADDRESSES['head']}:{PORT}"], changed or {})

    def leave(self) -> None:
        """SIGKILL to every process of the other node."""
        self._kill_all("other")
        if (node := self._nodes.pop("other", None)) is not None:
            node.wait()

    def cut(self, name: str, other: str) -> None:
        """Let one machine no longer reach another."""
        _ip("-n", self.spaces[name], "route", "add", "unreachable", f"{ADDRESSES[other]}/32")

    def mend(self, name: str, other: str) -> None:
        """Let it reach the other again."""
        _ip("-n", self.spaces[name], "route", "del", "unreachable", f"{ADDRESSES[other]}/32")

    def run(
        self, name: str, arguments: Sequence[str | Path], environment: Mapping[str, str], seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run Python on that machine, with nothing of the store in its environment but what is given."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return subprocess.run(
            [*self.command(name), sys.executable, *map(str, arguments)],
            env={**inherited, "PYTHONPATH": str(SOURCE), **self.ray(), **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def tear_down(self) -> None:
        """Kill what runs in the namespaces and remove them; whatever was built is gone."""
        if self.server is not None:
            self.server.stop()
        for name, space in self.spaces.items():
            if Path(f"/run/netns/{space}").exists():
                self._kill_all(name)
                _ip("netns", "del", space)
        for node in self._nodes.values():
            node.wait()

    def ray(self) -> dict[str, str]:
        """What a process has that is let in by the cluster."""
        return {**SETTINGS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def _start_node(
        self, name: str, cpus: int, ray: Sequence[str], options: Sequence[str], changed: Mapping[str, str]
    ) -> None:
        log = self.folder / f"{name}.log"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `python` of a job is that of this test
        own = (f"--node-ip-address={ADDRESSES[name]}", f"--num-cpus={cpus}", "--object-store-memory=80000000")
        with log.open("wb") as output:
            self._nodes[name] = subprocess.Popen(
                [*self.command(name), *ray, "start", *options, *own, "--block"],
                env={**os.environ, **self.ray(), **self.keys(), "PATH": path, **changed},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(lambda: "Ray runtime started" in log.read_text(), START_SECONDS, log.read_text)

    def _kill_all(self, name: str) -> None:
        while pids := _ip("netns", "pids", self.spaces[name]).split():
            for pid in map(int, pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """The machines, removed with all that runs on them, however the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))  # sockets lie in it: their paths must be short
    machines = Network(folder)
    try:
        machines.build()
        yield machines
    finally:
        machines.tear_down()
        shutil.rmtree(folder, ignore_errors=True)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
