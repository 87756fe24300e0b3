"""Four machines on one: the head and another node of a cluster, a store, and a laptop, each in a namespace.

A bridge in a fifth namespace joins them. The nodes take jobs with a token alone and have the store's keys in
their environment; the laptop has the token, and no keys.
"""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cluster.namespaces import Namespaces, ip, namespaces
from cluster.two_nodes import SETTINGS
from ray_nodes import RAY, short_folder
from s3_server import S3Server

ADDRESSES = {"head": "10.78.0.1", "other": "10.78.0.2", "store": "10.78.0.3", "laptop": "10.78.0.4"}
PORT, JOBS_PORT = 6398, 8265
SERVER = f"http://{ADDRESSES['head']}:{JOBS_PORT}"
BUCKET = "s3://pointlab"
SOURCE = Path(__file__).resolve().parents[2] / "platform"


class Network:
    """The machines, and what runs on them."""

    def __init__(self, spaces: Namespaces) -> None:
        self.token = secrets.token_hex(16)
        self.server: S3Server | None = None
        self._spaces = spaces

    def build(self) -> None:
        """Make the bridge, and a cable from each to it."""
        hub = self._spaces.spaces["hub"]
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        for name, address in ADDRESSES.items():
            space = self._spaces.spaces[name]
            ip("link", "add", "cable", "netns", space, "type", "veth", "peer", "name", name, "netns", hub)
            ip("-n", hub, "link", "set", name, "master", "bridge", "up")
            self._spaces.set_up(name, address)

    def command(self, name: str) -> list[str]:
        """What goes before a command that is to run on that machine."""
        return self._spaces.inside(name)

    def start_store(self) -> None:
        """Start the store with its bucket."""
        self.server = S3Server(self._spaces.folder / "store", ADDRESSES["store"], self.command("store"))
        self.server.start()
        self.server.make_bucket("pointlab")

    def stop_store(self) -> None:
        """End the store, if there is one."""
        if self.server is not None:
            self.server.stop()

    def keys(self) -> dict[str, str]:
        """The environment of a process that uses the store."""
        assert self.server is not None, "the store runs"
        return self.server.environment()

    def start_head(self, cpus: int) -> None:
        """Start the node with Ray's books and the job server."""
        jobs = ("--include-dashboard=true", f"--dashboard-host={ADDRESSES['head']}")
        options = ("--head", f"--port={PORT}", *jobs, f"--dashboard-port={JOBS_PORT}")
        self._start("head", cpus, RAY, [*options, f"--temp-dir={self._spaces.folder}"], {})

    def join(
        self,
        cpus: int,
        ray: Sequence[str] = RAY,
        changed: Mapping[str, str] | None = None,
        name: str = "other",
    ) -> None:
        """Have another machine leave and join again, perhaps with another Ray or a changed environment."""
        self.leave(name)
        self._start(name, cpus, ray, [f"--address={ADDRESSES['head']}:{PORT}"], changed or {})

    def leave(self, name: str = "other") -> None:
        """SIGKILL to every process of another machine."""
        self._spaces.kill_all(name)

    def cut(self, name: str, other: str) -> None:
        """Let one machine no longer reach another."""
        ip("-n", self._spaces.spaces[name], "route", "add", "unreachable", f"{ADDRESSES[other]}/32")

    def mend(self, name: str, other: str) -> None:
        """Let it reach the other again."""
        ip("-n", self._spaces.spaces[name], "route", "del", "unreachable", f"{ADDRESSES[other]}/32")

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

    def ray(self) -> dict[str, str]:
        """What a process has that is let in by the cluster."""
        return {**SETTINGS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def _start(
        self, name: str, cpus: int, ray: Sequence[str], options: Sequence[str], changed: Mapping[str, str]
    ) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `python` of a job is that of this test
        own = (f"--node-ip-address={ADDRESSES[name]}", f"--num-cpus={cpus}", "--object-store-memory=80000000")
        environment = {**self.ray(), **self.keys(), "PATH": path, **changed}
        self._spaces.start_node(name, [*options, *own], environment, ray)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """The machines, removed with all that runs on them, however the block ends."""
    with short_folder() as folder, namespaces((*ADDRESSES, "hub"), folder) as spaces:
        machines = Network(spaces)
        machines.build()
        try:
            yield machines
        finally:
            machines.stop_store()
