"""Before a submission: what would be shipped, and what would be run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointlab.doctor.finding import Finding, passed
from pointlab.submission import Options, order_for

JOB = "job"
"""The row of what would be run."""


@dataclass(frozen=True)
class Request:
    """A config as it would be submitted: from this folder, with these overrides, to the head's job server."""

    server: str
    folder: Path
    config: Path | None
    overrides: tuple[str, ...] = ()
    root: str | None = None
    deep: bool = False


@dataclass(frozen=True)
class Package:
    """What would be shipped, and that the config can be used there."""

    request: Request
    name: str = "package"
    seconds: float = 120.0

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The job, of which a package that cannot be sent needs none."""
        return () if self.request.config is None else (JOB,)

    def run(self) -> Iterator[Finding]:
        """The size of the package by folder, and the command of the job."""
        from pointlab.engine.jobs.package import measured

        request = self.request
        package = measured(request.folder)
        package.require_sendable()
        yield passed(str(package))
        if request.config is not None:
            order = order_for(request.config, request.folder, Options(request.overrides), package.files)
            yield passed(f"`{order.command}`", JOB)
