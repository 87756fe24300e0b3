"""`pointlab submit`: a config as a job of a cluster that this machine is no part of."""

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointlab.cli.options import Overrides, Root, Strict, with_options
from pointlab.submission import Options, Sent, order_for, send, ships_package
from pointlab.terminal import complaints, say

if TYPE_CHECKING:
    from pointlab.engine.jobs.server import JobServer

DETACHED = 130
"""What a shell reports after Ctrl-C."""
NUM_LAST_LINES = 6
Address = Annotated[
    str,
    typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The head's dashboard, such as http://head:8265."),
]


def submit(
    config: Annotated[Path, typer.Argument(help="YAML file of one experiment, inside the working folder.")],
    address: Address,
    overrides: Overrides = None,
    root: Root = None,
    *,
    working_dir: Annotated[Path, typer.Option(help="Folder that the job gets a copy of.")] = Path(),
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Variable to send along, by its name; never a credential."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the log, and exit as the job does.")] = True,
    rerun: Annotated[bool, typer.Option(help="Make a new attempt of a finished run.")] = False,
    strict: Strict = False,
) -> None:
    """Run one experiment as a job of a cluster, and follow its log; sent again, it follows or goes on.

    Ctrl-C leaves the job alone. The cluster's token comes from RAY_AUTH_TOKEN, the file that
    RAY_AUTH_TOKEN_PATH names, or ~/.ray/auth_token; credentials of the storage are the cluster's own.
    """
    from pointlab.engine.jobs.package import measured
    from pointlab.engine.jobs.placing import lacking
    from pointlab.engine.jobs.server import JobServer

    package = measured(working_dir)
    options = Options(with_options(overrides, root, strict=strict), rerun, env or ())
    order = order_for(config, working_dir, options, package.files)
    package.require_sendable()
    server = JobServer(address)
    lack = lacking(order, server.nodes()) if order.cpus or order.gpus else ""
    code = "" if ships_package(package.files) else "; pointlab is the cluster's own"
    sent = send(server, order, partial(say, f"Ships {package}{code}", complaints))
    _tell(sent, order.command, lack, server.address)
    if wait:
        _follow(server, sent)
    else:
        say(how_to_go_on(server.address, sent.job_id), complaints)


def _tell(sent: Sent, command: str, lack: str, address: str) -> None:
    """What became of the order, and of a new job what the cluster lacks for it.

    A job goes by what it does, so one that runs may do it with another launch, whose log would be a riddle.
    """
    if sent.is_new:
        say("\n".join(filter(None, [f"{sent.job_id}: {command}", lack])), complaints)
    elif sent.command == command:
        say(f"{sent.job_id} is running.", complaints)
    else:
        stop = shlex.join(["--address", address, sent.job_id])
        say(
            f"{sent.job_id} is running, and not as given now, but as: {sent.command}\n"
            f"To run it as given: RAY_AUTH_MODE=token ray job stop {stop}, then the same command again",
            complaints,
        )


def _follow(server: "JobServer", sent: Sent) -> None:
    """Show the job's log, and exit as it does."""
    from pointlab.engine.jobs.following import follow

    try:
        job = follow(server, sent.job_id, _show)
    except KeyboardInterrupt:
        say(f"\n{sent.job_id} goes on.\n{how_to_go_on(server.address, sent.job_id)}", complaints)
        raise typer.Exit(DETACHED) from None
    if job.status != 0:
        words = "\n".join(job.last_words.splitlines()[-NUM_LAST_LINES:])
        say(f"{job.id} {job.state.lower()}, exit status {job.status}.\n{words}", complaints)
        raise typer.Exit(job.status)


def _show(text: str) -> None:
    """Write a piece of the log as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def how_to_go_on(address: str, job_id: str) -> str:
    """The commands that follow the job and that stop it."""
    where = shlex.join(["--address", address, job_id])
    return (
        f"To follow it: the same command again, or RAY_AUTH_MODE=token ray job logs --follow {where}\n"
        f"To stop it (it saves and can go on): RAY_AUTH_MODE=token ray job stop {where}"
    )


COMMANDS: dict[Callable[..., None], str] = {
    submit: "`pointlab submit configs/demo/search.yaml --address http://head:8265 --root s3://bucket/prefix`"
}
