"""A Ray head of the tests' own, with its job server and a token, ended with all that it started."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from process_tree import descendants, members
from ray_nodes import RAY, short_folder, wait_until
from s3_server import free_ports

ENDS_WITH_ITS_PARENT = "import ctypes; ctypes.CDLL(None).prctl(1, 15)"
"""Has Linux send SIGTERM to who says it when the process that started it is gone, however that was."""
START_SECONDS = 120
NUM_CPUS = 2


class Head:
    """One node: `address` is that of its job server, `token` what it asks for."""

    def __init__(self, folder: Path) -> None:
        """Not started; `folder` is where its logs will be."""
        self.folder, self.token = folder, secrets.token_hex(16)
        self._port, self._dashboard, self._agent, self._client = free_ports(4)
        self.address = f"http://127.0.0.1:{self._dashboard}"
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What a client needs to be let in, beside the address."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def start(self, environment: dict[str, str]) -> None:
        """Start it with these variables, which are those of its jobs, and return when it answers."""
        log = self.folder / "head.log"
        options = [f"--port={self._port}", f"--dashboard-port={self._dashboard}", f"--temp-dir={self.folder}"]
        options += [f"--dashboard-agent-listen-port={self._agent}", f"--num-cpus={NUM_CPUS}"]
        options += [f"--ray-client-server-port={self._client}", "--object-store-memory=100000000"]
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # jobs say `python`
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*RAY[:-1], f"{ENDS_WITH_ITS_PARENT}; {RAY[-1]}", "start", "--head", *options, "--block"],
                env={**_without_python_path(), "PATH": programs, **environment, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(lambda: "Ray runtime started" in log.read_text(), START_SECONDS, log.read_text)

    def stop(self) -> None:
        """Kill the head and every process that comes from it."""
        if self._process is None:
            return
        for process in {*descendants(self._process.pid), *members(session=self._process.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def started_head(environment: dict[str, str]) -> Iterator[Head]:
    """A head that is gone, with its folder, however the block ends."""
    with short_folder() as folder:
        head = Head(folder)
        try:
            head.start(environment)
            yield head
        finally:
            head.stop()


def _without_python_path() -> dict[str, str]:
    """This process's environment, without what would lead jobs to the source beside the tests."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
