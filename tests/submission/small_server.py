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

    Of these, `breaks` ends after half of the log without a word of farewell, `leaves` does so and is away
    for one question, `hangs` falls silent there, `deserts` does when the job has ended, and `pauses` for a
    second. The others send the whole log and end the job.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: list[str] = field(default_factory=list)
    ending: dict[str, Any] = field(default_factory=lambda: {"status": "SUCCEEDED", "driver_exit_code": 0})
    absences: int = 0
    """How many of the next questions after jobs have no answer."""
    status_away: int = 503
    pending: int = 0
    """How many of the next questions after jobs are answered with PENDING, before they run."""
    status: int = 200
    """Of every answer; one that is not 200 is all that is said."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, float]] = field(default_factory=list)
    """What each of its nodes has; another one is gone."""
    absent_logs: int = 0
    """How many of the next questions after a whole log have no answer."""
    seconds_before_taking: float = 0.0
    """For which it takes nothing of a package."""
    taken: int = 0
    """Bytes of the packages that it was sent."""
    num_connections: int = 0
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
            return web.Response(status=self.status_away, text="away")
        job = self.jobs.get(request.match_info["job"])
        if job and job["status"] == "PENDING":
            self.pending -= 1
            job["status"] = "PENDING" if self.pending >= 0 else "RUNNING"
        return self._answer(job) if job else web.Response(status=404, text="Job does not exist")

    async def submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.requests.append(asked)
        self.add(asked["submission_id"], entrypoint=asked["entrypoint"])
        return self._answer({"job_id": asked["submission_id"], "submission_id": asked["submission_id"]})

    async def stop(self, request: web.Request) -> web.Response:
        self.jobs[request.match_info["job"]]["status"] = "STOPPED"
        return self._answer({"stopped": True})

    async def take_package(self, _: web.Request) -> web.Response:
        return self._answer({})

    async def receive_package(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.seconds_before_taking)
        async for piece in request.content.iter_any():
            self.taken += len(piece)
        return self._answer({})

    async def all_nodes(self, _: web.Request) -> web.Response:
        rows = [{"state": "ALIVE", "resources_total": each} for each in self.nodes]
        gone = {"state": "DEAD", "resources_total": {"CPU": 64.0}}
        return self._answer({"result": True, "data": {"result": {"result": [*rows, gone]}}})

    async def log(self, _: web.Request) -> web.Response:
        if self.absent_logs:
            self.absent_logs -= 1
            return web.Response(status=503, text="away")
        return self._answer({"logs": LOG})

    async def tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        how = self.connections.pop(0) if self.connections else "whole"
        self.num_connections += 1
        half = len(LOG) // 2
        for piece in pieces(LOG if how == "whole" else LOG[:half]):
            await socket.send_str(piece)
            await asyncio.sleep(0)
        if how == "deserts":
            self.jobs[request.match_info["job"]] |= self.ending
        if how in ("hangs", "deserts"):
            await asyncio.sleep(60)
        if how == "pauses":
            await asyncio.sleep(1)
            await socket.send_str(LOG[half:])
        if how == "leaves":
            self.absences = 1
        if how in ("breaks", "leaves"):
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
                web.put("/api/packages/{protocol}/{name}", self.receive_package),
                web.get("/api/v0/nodes", self.all_nodes),
                web.get("/api/jobs/", self.listing),
                web.post("/api/jobs/", self.submit),
                web.get("/api/jobs/{job}", self.look),
                web.post("/api/jobs/{job}/stop", self.stop),
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
