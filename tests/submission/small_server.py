"""What Ray's client needs of a job server, over real HTTP, with connections that break to order."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

LOG = "Runtime env is set up.\npretraining  1/10\npretraining  2/10  loss 0.5 · größer\nRecord: here\n"


@dataclass
class SmallServer:
    """Jobs by their ids, one log for all, and what happens to the connections that ask for it, in turn.

    Of these, `breaks` ends after half of the log without a word of farewell, `trickles` does so slowly and
    leaves a server that is away for one question, `hangs` falls silent there, and the last one sends the
    whole log and ends the job.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: list[str] = field(default_factory=list)
    ending: dict[str, Any] = field(default_factory=lambda: {"status": "SUCCEEDED", "driver_exit_code": 0})
    absences: int = 0
    """How many of the next questions after jobs have no answer."""
    status: int = 200
    """Of every answer; one that is not 200 is all that is said."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def add(self, job_id: str, status: str = "RUNNING", **details: Any) -> None:
        """Have a job."""
        self.jobs[job_id] = {"type": "SUBMISSION", "entrypoint": "", "submission_id": job_id} | {
            "status": status,
            **details,
        }

    async def version(self, _: web.Request) -> web.Response:
        return self._answer({"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""})

    async def listing(self, _: web.Request) -> web.Response:
        return self._answer(list(self.jobs.values()))

    async def look(self, request: web.Request) -> web.Response:
        if self.absences:
            self.absences -= 1
            return web.Response(status=503, text="away")
        job = self.jobs.get(request.match_info["job"])
        return self._answer(job) if job else web.Response(status=404, text="Job does not exist")

    async def submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.requests.append(asked)
        self.add(asked["submission_id"])
        return self._answer({"job_id": asked["submission_id"], "submission_id": asked["submission_id"]})

    async def take_package(self, _: web.Request) -> web.Response:
        return self._answer({})

    async def log(self, _: web.Request) -> web.Response:
        return self._answer({"logs": LOG})

    async def tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        how = self.connections.pop(0) if self.connections else "whole"
        for piece in pieces(LOG if how == "whole" else LOG[: len(LOG) // 2]):
            await socket.send_str(piece)
            await asyncio.sleep(0.03 if how == "trickles" else 0)
        if how == "hangs":
            await asyncio.sleep(60)
        if how == "trickles":
            self.absences = 1
        if how in ("breaks", "trickles"):
            assert request.transport is not None
            request.transport.abort()
        else:
            self.jobs[request.match_info["job"]] |= self.ending
        return socket

    def _answer(self, content: Any) -> web.Response:
        text = json.dumps(content) if self.status == 200 else "refused"
        return web.Response(status=self.status, text=text, content_type="application/json")

    @contextmanager
    def running(self) -> Iterator["SmallServer"]:
        """The server, answering at `address` while the block runs."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/api/version", self.version),
                web.get("/api/packages/{protocol}/{name}", self.take_package),
                web.get("/api/jobs/", self.listing),
                web.post("/api/jobs/", self.submit),
                web.get("/api/jobs/{job}", self.look),
                web.get("/api/jobs/{job}/logs", self.log),
                web.get("/api/jobs/{job}/logs/tail", self.tail),
            ]
        )
        loop, runner = asyncio.new_event_loop(), web.AppRunner(application, shutdown_timeout=0.1)
        started = threading.Event()

        async def start() -> None:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.address = "http://{}:{}".format(*runner.addresses[0][:2])
            started.set()

        def serve() -> None:
            loop.run_until_complete(start())
            loop.run_forever()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert started.wait(20)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


def pieces(text: str) -> list[str]:
    """The text in pieces that end anywhere, as those of a log that grows do."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]
