"""A real MLflow server on this machine, with a database and artifacts of its own."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3_server import free_ports

READY_SECONDS = 120
ENDS_WITH_ITS_PARENT = "import ctypes; ctypes.CDLL(None).prctl(1, 15)"
"""Linux sends the server SIGTERM when this process is gone, however it went."""
WITHOUT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""What needs a network, or packages beside the server's own."""


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its address, for as long as the block runs."""
    (port,) = free_ports(1)
    options = [
        f"--backend-store-uri=sqlite:///{folder}/mlflow.db",
        f"--artifacts-destination={folder}/artifacts",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
    ]
    program = f"{ENDS_WITH_ITS_PARENT}; from mlflow.cli import cli; cli()"
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", program, "server", *options],
            env=os.environ | WITHOUT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            assert server.poll() is None, f"The server has ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"The server does not answer:\n{log.read_text()}"
            time.sleep(0.2)
