"""A real S3 server for the tests: OpenStack Swift on this machine, to be killed, paused and revived."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import swift_setup

READY_SECONDS = 60
# Waits until every server accepts connections and the proxy answers; runs where the servers run.
WAIT = """
import socket, sys, time, urllib.request
seconds, proxy, *others = sys.argv[1:]
end = time.monotonic() + float(seconds)
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    try:
        for server in others:
            host, port = server.split(":")
            socket.create_connection((host, int(port)), timeout=1).close()
        direct.open(f"http://{proxy}/healthcheck", timeout=2)
        break
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(f"{error}")
        time.sleep(0.05)
"""
MAKE_BUCKET = """
import boto3, sys
client = boto3.client("s3")
try:
    client.create_bucket(Bucket=sys.argv[1])
except client.exceptions.BucketAlreadyOwnedByYou:
    pass
"""
# Ends the servers when the tests' process is gone, however it went: its end of the pipe is closed then.
WATCH = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    groups ^= {int(line)}
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class S3Server:
    """Swift with its S3 interface; what was stored outlives `stop` and `start`."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", prefix: Sequence[str] = ()) -> None:
        """Prepare a server that keeps all it has in `folder`.

        The proxy, which speaks S3, listens on `address`. `prefix` goes before every command, such as
        ["ip", "netns", "exec", NAME] for a server in a network namespace.
        """
        self.folder, self.address, self.prefix = folder, address, list(prefix)
        self._programs = swift_setup.installed()
        names = (*swift_setup.STORAGE_SERVERS, "proxy")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._watch: subprocess.Popen[bytes] | None = None
        swift_setup.configure(folder, self._programs, address, self._ports)

    @property
    def endpoint(self) -> str:
        """Where the server is reached."""
        return f"http://{self.address}:{self._ports['proxy']}"

    def environment(self) -> dict[str, str]:
        """The AWS variables of a process that uses this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": swift_setup.USER,
            "AWS_SECRET_ACCESS_KEY": swift_setup.KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start all servers and return when they answer."""
        for name in swift_setup.STORAGE_SERVERS:
            self._launch(name)
        self.start_proxy()

    def stop(self) -> None:
        """Ask all servers to end, the proxy first, and end those that do not; none is left."""
        self.resume()
        for name in reversed(list(self._running)):
            self._end(name, signal.SIGTERM)
        if self._watch is not None:
            _pipe(self._watch).close()
            self._watch.wait()
            self._watch = None

    def start_proxy(self) -> None:
        """Start what speaks S3 and return when it answers; the storage behind it is running."""
        self._launch("proxy")
        storage = [f"127.0.0.1:{self._ports[name]}" for name in swift_setup.STORAGE_SERVERS]
        proxy = f"{self.address}:{self._ports['proxy']}"
        self._run(WAIT, str(READY_SECONDS), proxy, *storage)

    def kill_proxy(self) -> None:
        """SIGKILL what speaks S3: uploads under way fail, and later connections are refused."""
        self._end("proxy", signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP what speaks S3: connections are accepted and get no answer."""
        os.killpg(self._running["proxy"].pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`; nothing happens if it was not paused."""
        if "proxy" in self._running:
            os.killpg(self._running["proxy"].pid, signal.SIGCONT)

    def make_bucket(self, name: str) -> None:
        """Make a bucket; nothing happens if it is there."""
        self._run(MAKE_BUCKET, name)

    def _launch(self, name: str) -> None:
        assert name not in self._running, f"the {name} server is running"
        program = str(self._programs / f"swift-{name}-server")
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self.prefix, program, str(self.folder / f"{name}.conf"), "-v"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._tell_watch(self._running[name].pid)

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._running.pop(name)
        os.killpg(process.pid, how)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._tell_watch(process.pid)

    def _tell_watch(self, group: int) -> None:
        """Have the group ended with this process, or no longer if it was told before."""
        if self._watch is None:
            command = [sys.executable, "-c", WATCH]
            self._watch = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        pipe = _pipe(self._watch)
        pipe.write(b"%d\n" % group)
        pipe.flush()

    def _run(self, program: str, *arguments: str) -> None:
        """Run a Python program where the servers are; AssertionError with their logs if it fails."""
        command = [*self.prefix, sys.executable, "-c", program, *arguments]
        environment = os.environ | self.environment()
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        logs = "".join(f"\n{path.name}: {path.read_text()[-2000:]}" for path in self.folder.glob("*.log"))
        assert finished.returncode == 0, finished.stderr + logs


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def main() -> None:
    """Run a server with the bucket `pointlab` for one command: python tests/s3_server.py COMMAND ..."""
    with tempfile.TemporaryDirectory() as folder:
        server = S3Server(Path(folder))
        server.start()
        try:
            server.make_bucket("pointlab")
            sys.exit(subprocess.call(sys.argv[1:], env=os.environ | server.environment()))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
