"""Machines on one machine: network namespaces, gone with all that runs in them however the tests end."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ray_nodes import RAY, wait_until

START_SECONDS, END_SECONDS = 90, 30
# Removes the namespaces when the tests' process is gone, however it went: its end of the pipe is closed then.
WATCH = """
import os, signal, subprocess, sys, time

def pids(space):
    told = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
    return [int(pid) for pid in told.stdout.split()]

sys.stdin.read()
end = time.monotonic() + 30
for space in sys.argv[1:]:
    while (left := pids(space)) and time.monotonic() < end:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    subprocess.run(["ip", "netns", "del", space], capture_output=True)
"""


class Namespaces:
    """One for each name, and the nodes of Ray that run there; their logs are in `folder`."""

    def __init__(self, names: Iterable[str], folder: Path) -> None:
        """Named so that no other tests have the same."""
        mark = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.folder = folder
        self.spaces = {name: f"pl-{mark}-{name}" for name in names}
        self._started: list[subprocess.Popen[bytes]] = []

    def path(self, name: str) -> Path:
        """The file by which a namespace is entered."""
        return Path(f"/run/netns/{self.spaces[name]}")

    def inside(self, name: str) -> list[str]:
        """What goes before a command that is to run there."""
        return ["ip", "netns", "exec", self.spaces[name]]

    def set_up(self, name: str, address: str) -> None:
        """Give the end of the cable there its address, and start both interfaces."""
        ip("-n", self.spaces[name], "addr", "add", f"{address}/24", "dev", "cable")
        for interface in ("lo", "cable"):
            ip("-n", self.spaces[name], "link", "set", interface, "up")

    def start_node(
        self, name: str, options: Sequence[str], environment: Mapping[str, str], ray: Sequence[str] = RAY
    ) -> subprocess.Popen[bytes]:
        """Start a node of Ray there, and return when it runs."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                [*self.inside(name), *ray, "start", *options, "--block"],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._started.append(node)
        wait_until(lambda: "Ray runtime started" in log.read_text(), START_SECONDS, log.read_text)
        return node

    def kill_all(self, name: str) -> None:
        """SIGKILL to every process there but this one; an assertion fails where one does not go."""
        space = self.spaces[name]

        def is_empty() -> bool:
            pids = set(map(int, ip("netns", "pids", space).split())) - {os.getpid()}
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        wait_until(is_empty, END_SECONDS, lambda: f"of {space} are left: {ip('netns', 'pids', space)}")

    def remove(self, name: str) -> None:
        """The namespace is gone, and all that ran in it."""
        try:
            self.kill_all(name)
        finally:
            ip("netns", "del", self.spaces[name])

    def wait(self) -> None:
        """Every node that was started has ended; it is so once its namespace is gone."""
        for node in self._started:
            node.wait(END_SECONDS)


@contextlib.contextmanager
def namespaces(names: Iterable[str], folder: Path) -> Iterator[Namespaces]:
    """Namespaces of these names: whatever goes wrong with one of them, the others are removed."""
    made = Namespaces(names, folder)
    with _watch(made.spaces.values()), contextlib.ExitStack() as afterwards:
        afterwards.callback(made.wait)
        for name, space in made.spaces.items():
            ip("netns", "add", space)
            afterwards.callback(made.remove, name)
        yield made


@contextlib.contextmanager
def _watch(spaces: Iterable[str]) -> Iterator[None]:
    """A block with a process beside it that removes the namespaces if this one dies in it."""
    command = [sys.executable, "-c", WATCH, *spaces]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield  # leaving the block closes the pipe and waits


def has_namespaces() -> bool:
    """Whether this process may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    space = f"pl-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", space], capture_output=True, check=False).returncode:
        return False
    ip("netns", "del", space)
    return True


def ip(*arguments: str) -> str:
    """What iproute2 says; CalledProcessError where it fails."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
