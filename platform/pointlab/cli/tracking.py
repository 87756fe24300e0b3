"""`pointlab track`: finished runs for MLflow and for Weights & Biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pointlab.cli.options import UsualRoot, existing, new_group
from pointlab.cli.show import begun_runs, named
from pointlab.errors import PointlabError
from pointlab.storage import Storage, read_record
from pointlab.terminal import say
from pointlab.tracking import Replay, replay_of, to_mlflow, to_wandb

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs, or what their names hold; all that are finished without any."),
]


def mlflow(
    runs: Runs = None,
    root: UsualRoot = None,
    *,
    tracking_uri: Annotated[
        str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="Address of the MLflow server.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="MLflow's experiment that gets the runs.")] = "pointlab",
) -> None:
    """Tell an MLflow server of finished runs: settings, figures by step, what they rest on, their records."""
    if tracking_uri is None:
        raise PointlabError(
            "No MLflow server is named.",
            remedy="give --tracking-uri, such as http://localhost:5000, or set MLFLOW_TRACKING_URI",
        )
    added = 0
    for run, is_new in to_mlflow(finished(existing(root), runs or []), tracking_uri, experiment):
        say(f"{run}: {'added' if is_new else 'is there already'}")
        added += is_new
    say(f"{added} runs added to the experiment {experiment} of {tracking_uri}")


def wandb(
    runs: Runs = None,
    root: UsualRoot = None,
    *,
    to: Annotated[Path, typer.Option(help="Folder, in which `wandb` is made.")] = Path(),
    project: Annotated[str, typer.Option(help="W&B's project that gets the runs.")] = "pointlab",
) -> None:
    """Write finished runs as W&B's offline files, for `wandb sync` to send."""
    new = []
    for folder, is_new in to_wandb(finished(existing(root), runs or []), to, project):
        say(f"{folder}: {'written' if is_new else 'is there already'}")
        new += [folder] * is_new
    say(
        "To send them: wandb sync " + " ".join(map(str, new))
        if new
        else "Nothing new was written; `wandb sync` sends what it has not sent yet."
    )


def finished(storage: Storage, names: Sequence[str]) -> list[Replay]:
    """The finished runs that are called so, or all; what is unfinished is said and left out."""
    found = []
    for run in named(names, begun_runs(storage), storage):
        record = read_record(storage, run)
        if record is None:
            say(f"{run}: left out, as it is not finished")
        else:
            found.append(replay_of(storage, record))
    return found


app = new_group("Finished runs for MLflow and for Weights & Biases.")
for command, example in (
    (mlflow, "`pointlab track mlflow demo --tracking-uri http://localhost:5000`"),
    (wandb, "`pointlab track wandb demo`"),
):
    app.command(epilog=f"Example: {example}")(command)
