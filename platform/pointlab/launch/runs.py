"""Runs: an experiment is resolved, found or carried out, and its record written.

What is finished already is recognised by its identity and returned; what was interrupted goes on from its
newest checkpoint.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pointlab.config import dump
from pointlab.data.dataset import find_prepared
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import (
    AnalyseExperiment,
    EvaluateExperiment,
    Experiment,
    ImportExperiment,
    MatchExperiment,
    PrepareExperiment,
    PretrainExperiment,
    RetrieveExperiment,
    SearchExperiment,
    StudyExperiment,
    TeacherExperiment,
    TransferExperiment,
)
from pointlab.experiment.analysing import analyse
from pointlab.experiment.budgeting import Lineage
from pointlab.experiment.evaluating import evaluate
from pointlab.experiment.imported import bring_in
from pointlab.experiment.lineage import in_one_process, parents_of, placed_by
from pointlab.experiment.matching import match
from pointlab.experiment.measured import measure
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.records import finish
from pointlab.experiment.resolve import Findings, Resolved, make_definite
from pointlab.experiment.retrieving import retrieve
from pointlab.experiment.study_runs import make_study_definite
from pointlab.experiment.teaching import teach
from pointlab.experiment.transferring import transfer
from pointlab.interruption import stop_on_sigterm
from pointlab.launch.budgets import spread
from pointlab.launch.datasets import ensure_prepared, require_roots
from pointlab.launch.lineage import announce_parents, require_learnable
from pointlab.launch.reruns import require_repeatable
from pointlab.launch.splits import require_splits
from pointlab.launch.teachers import require_teachers
from pointlab.provenance import code_version
from pointlab.storage import Record, Storage, open_storage, read_record
from pointlab.storage.lease import Fence, hold
from pointlab.study import alone, conduct, forget_interim
from pointlab.training import LocalContext, TrainContext, Watcher, ignore_progress
from pointlab.training.step_cost import StepCost
from pointlab.training.telemetry import Telemetry, ignore_telemetry

logger = logging.getLogger(__name__)
RunExperiment = (
    TeacherExperiment
    | PretrainExperiment
    | ImportExperiment
    | TransferExperiment
    | SearchExperiment
    | StudyExperiment
    | EvaluateExperiment
    | RetrieveExperiment
    | MatchExperiment
    | AnalyseExperiment
)
STAGES: dict[str, Callable[[Any, TrainContext], Findings]] = {
    "teacher": teach,
    "pretrain": pretrain,
    "import": bring_in,
    "transfer": transfer,
    "evaluate": evaluate,
    "retrieve": retrieve,
    "match": match,
    "analyse": analyse,
}
"""What runs in a context, by the kind of experiment; a search runs other runs instead."""


@dataclass(frozen=True)
class Outcome:
    """What came of an experiment: the path of its artifact in the store, and its record if it made a run."""

    storage: Storage
    path: str
    record: Record | None
    was_finished: bool
    """Whether it was there already."""


def run(experiment: Experiment, *, rerun: bool = False, watcher: Watcher = ignore_progress) -> Outcome:
    """Carry out `experiment` after all it depends on; `rerun` makes a new attempt of it alone."""
    code_version()  # what is on the disk now is what runs, whatever is edited meanwhile
    storage = open_storage(experiment.storage.root)
    if rerun:
        require_repeatable(experiment)
    if isinstance(experiment, PrepareExperiment):
        found = find_prepared(experiment.data, storage)
        name = ensure_prepared(experiment.data, storage, experiment.launch, watcher)
        return Outcome(storage, f"datasets/{name}", None, was_finished=found is not None)
    return _run(experiment, storage, rerun, watcher)


def _run(
    experiment: RunExperiment, storage: Storage, rerun: bool, watcher: Watcher, *, waits: bool = False
) -> Outcome:
    """Carry out a run, or find it; where another process is at it, `waits` says to wait for that one."""
    resolved = resolve(experiment, storage, watcher, waits=waits)
    attempt = 1
    while (record := read_record(storage, resolved.run)) is not None and rerun:
        attempt += 1
        resolved = replace(resolved, run=_with_attempt(resolved.run, attempt))
    if record is None:
        return _make(resolved, storage, watcher, waits)
    if record.code_version != code_version():
        logger.warning(
            "%s was finished by another version of the code (%s, now %s); --rerun makes a new attempt",
            resolved.run,
            record.code_version,
            code_version(),
        )
    return Outcome(storage, f"runs/{resolved.run}", record, was_finished=True)


def _make(
    resolved: Resolved[Any],
    storage: Storage,
    watcher: Watcher,
    waits: bool,
    stop: threading.Event | None = None,
    *,
    telemetry: Telemetry = ignore_telemetry,
) -> Outcome:
    """Carry the run out as its only writer; unless it `waits`, LeaseError where another process is at it."""
    path, description = f"runs/{resolved.run}", f"pointlab run of {resolved.experiment.name}"
    with hold(storage, f"{path}/lease", description, wait=waits) as lease:
        record = read_record(storage, resolved.run)
        if record is not None:  # whoever held the lease before has finished it meanwhile
            return Outcome(storage, path, record, was_finished=True)
        orphans = storage.sweep(path)
        if orphans:
            logger.info("%s: %d unfinished uploads of an earlier attempt removed", resolved.run, orphans)
        storage.write(f"{path}/config.yaml", dump(resolved.experiment).encode())
        started = time.monotonic()
        with _withdrawn_if_refused(storage, path):
            findings = _execute(resolved, storage, watcher, lease.fence, stop=stop, telemetry=telemetry)
        record = finish(resolved, findings, time.monotonic() - started, storage, lease)
        if isinstance(resolved.experiment, StudyExperiment):
            forget_interim(storage, resolved.run)  # the record has taken its place
    return Outcome(storage, path, record, was_finished=False)


@contextlib.contextmanager
def _withdrawn_if_refused(storage: Storage, path: str) -> Iterator[None]:
    """Settings or files that prove to be impossible, such as with this backbone, leave no run behind."""
    try:
        yield
    except (ConfigError, DataError):
        if "checkpoints" not in storage.folders(path):
            storage.delete_file(f"{path}/config.yaml")
        raise


def _with_attempt(name: str, attempt: int) -> str:
    return f"{name.partition('-attempt')[0]}-attempt{attempt}"


def _execute(
    resolved: Resolved[Any],
    storage: Storage,
    watcher: Watcher,
    fence: Fence,
    *,
    stop: threading.Event | None,
    telemetry: Telemetry,
) -> Findings:
    """What the experiment finds; SIGTERM asks it to save and end, and so does `stop`."""
    experiment = resolved.experiment
    if isinstance(experiment, SearchExperiment):
        from pointlab.engine.search import search

        return search(resolved, storage, watcher, parents_here, fence)
    if isinstance(experiment, StudyExperiment):
        return _study(resolved, storage, watcher)
    stage = STAGES[experiment.kind]
    with stop_on_sigterm(stop) as asked:
        if experiment.launch.kind == "local":
            timeout = experiment.launch.stall_timeout
            context = LocalContext(
                storage, watcher, fence=fence, stop=asked, stall_timeout=timeout, telemetry=telemetry
            )
            return stage(resolved, context)
        from pointlab.engine.trainer import fit

        return fit(stage, resolved, storage, experiment.launch, watcher, fence=fence, stop=asked)


def _study(resolved: Resolved[StudyExperiment], storage: Storage, watcher: Watcher) -> Findings:
    """Carry out the study's experiments, side by side on Ray or one after the other in this process."""
    with stop_on_sigterm() as stop:
        if resolved.experiment.launch.kind == "local":
            return conduct(resolved, storage, watcher, alone(make_here, storage), stop)
        from pointlab.engine.study import on_ray

        return conduct(resolved, storage, watcher, on_ray(make_in_task, resolved.experiment, storage), stop)


def make_here(resolved: Resolved[Any], storage: Storage, stop: threading.Event) -> Record:
    """Carry out one experiment of a study in this process; if another process is at it, wait for that."""
    record = _make(resolved, storage, ignore_progress, True, stop).record
    assert record is not None, "a run leaves a record"
    return record


def make_in_task(resolved: Resolved[Any], storage: Storage, stop: threading.Event) -> Record:
    """As `make_here`, in a task of Ray, whose node shows how it goes."""
    from pointlab.engine import gauges

    try:
        record = _make(resolved, storage, ignore_progress, True, stop, telemetry=gauges.publish).record
    finally:
        gauges.end(resolved.run)  # the task's process may be given another experiment
    assert record is not None, "a run leaves a record"
    return record


def resolve(
    experiment: RunExperiment,
    storage: Storage,
    watcher: Watcher = ignore_progress,
    *,
    waits: bool = False,
) -> Resolved[Any]:
    """Make definite what `experiment` refers to; datasets and parents that are missing are made now.

    Where another process is at a parent, `waits` says to wait for that one.
    """
    require_roots(experiment.datasets, storage)
    if any(find_prepared(config, storage) is None for config in experiment.datasets.values()):
        require_teachers(experiment)
    datasets = {
        role: ensure_prepared(config, storage, experiment.launch, watcher)
        for role, config in experiment.datasets.items()
    }
    require_learnable(experiment, datasets, storage)
    require_splits(experiment, datasets, storage)
    announce_parents(experiment, datasets, storage)
    if isinstance(experiment, StudyExperiment):
        measured = partial(_measured, study=experiment, storage=storage, watcher=watcher)
        return make_study_definite(spread(experiment, datasets, storage, measured), datasets)
    parents = {}
    for role, parent in parents_of(experiment).items():
        outcome = _run(placed_by(experiment, parent), storage, False, watcher, waits=waits)
        assert outcome.record is not None, "a run leaves a record"
        parents[role] = outcome.record.run
    return make_definite(experiment, datasets, parents)


def _measured(lineage: Lineage, study: StudyExperiment, storage: Storage, watcher: Watcher) -> StepCost:
    """What a step of a study's pretraining takes where it will run, after what it learns from is made."""
    *before, pretraining = lineage
    for parent in before:
        if read_record(storage, parent.run) is None:
            placed = parent.experiment.model_copy(update={"launch": study.launch})
            _make(replace(parent, experiment=placed), storage, watcher, waits=True)
    logger.info("%s: a step is timed, as the budget asks for it", pretraining.run)
    if study.launch.kind == "local":
        return measure(pretraining, storage)
    from pointlab.engine.study import measured_on_ray

    return measured_on_ray(measure, study.launch, pretraining, storage)


def parents_here(experiment: TransferExperiment, storage: Storage) -> dict[str, str]:
    """The finished runs of its origins, they and theirs made in this process where missing.

    For trials of a search that varies how a backbone is pretrained: two that want the same one wait for it.
    """
    parents = {}
    for role, parent in experiment.origins.items():
        outcome = _run(in_one_process(parent), storage, False, ignore_progress, waits=True)
        assert outcome.record is not None, "a run leaves a record"
        parents[role] = outcome.record.run
    return parents
