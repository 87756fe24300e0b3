"""Runs as the files that Weights & Biases writes offline, which `wandb sync` sends wherever one is logged in.

Writing and sending are kept apart, so that no key passes through here and nothing waits for a network. A
run's folder is there when it is whole: it is written beside, and renamed.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pointlab.errors import PointlabError
from pointlab.tracking.replay import Replay

QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "host": "",
    "disable_git": True,
    "disable_code": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}
"""The machine that exports is not the one that trained: nothing is told of it."""


def to_wandb(replays: Iterable[Replay], folder: Path, project: str) -> Iterator[tuple[Path, bool]]:
    """Write each run below `folder`; yields its own folder, and whether it was not there before.

    Raises PointlabError where wandb is not installed, or refuses.
    """
    wandb = _wandb()
    for replay in replays:
        there = sorted((folder / "wandb").glob(f"offline-run-*-{replay.record.run}"))
        if there:
            yield there[0], False
            continue
        yield _written(wandb, replay, folder, project), True


def _written(wandb: Any, replay: Replay, folder: Path, project: str) -> Path:
    """The folder of one run, by the name that `wandb sync` looks for."""
    record = replay.record
    final = folder / "wandb" / f"offline-run-{replay.begun:%Y%m%d_%H%M%S}-{record.run}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".wandb-") as scratch:
            made = _replayed(wandb, replay, Path(scratch), project)
            for what_the_machine_did in ("logs", "tmp"):
                shutil.rmtree(made / what_the_machine_did, ignore_errors=True)
            made.rename(final)
    except OSError as error:
        raise PointlabError(
            f"{final} cannot be written: {error.strerror}.", remedy="choose another --to"
        ) from None
    except wandb.errors.Error as error:
        raise PointlabError(f"wandb refused {record.run}: {error}.") from error
    return final


def _replayed(wandb: Any, replay: Replay, scratch: Path, project: str) -> Path:
    """The folder that wandb makes of the run."""
    record = replay.record
    settings = wandb.Settings(**QUIET, x_start_time=replay.begun.timestamp())
    with wandb.init(
        project=project,
        id=record.run,
        name=record.run,
        group=record.name,
        job_type=record.kind,
        config={**record.config, "pointlab": replay.origin},
        dir=str(scratch),
        mode="offline",
        settings=settings,
    ) as run:
        for step, figures in replay.lines:
            run.log(figures, step=step)
        run.summary.update(replay.figures)
    (made,) = (scratch / "wandb").glob(f"offline-run-*-{record.run}")
    return made


def _wandb() -> Any:
    try:
        import wandb
    except ModuleNotFoundError:
        raise PointlabError("wandb is not installed.", remedy="pip install 'pointlab[wandb]'") from None
    return wandb
