"""Search with Ray Tune: Optuna proposes, ASHA stops early, every trial is an ordinary transfer run.

A trial trains on one worker, so it needs no inner trainer: it runs the loop in its own process, and
nothing can wait for resources that another trial holds.
"""

import functools
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from pointlab.config import validate
from pointlab.engine.room import resources_of_a_worker, tasks_at_a_time
from pointlab.engine.session import connect
from pointlab.errors import TrainingError
from pointlab.experiment.records import build_record
from pointlab.experiment.resolve import Findings, Resolved, make_definite
from pointlab.experiment.search import Choice, SearchExperiment, Uniform, make_trial
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transferring import measure_test, transfer
from pointlab.experiment.wiring import open_data
from pointlab.storage import Record, Storage, read_record, write_record
from pointlab.storage.lease import hold
from pointlab.training import LocalContext, Watcher, ignore_progress
from pointlab.training.context import default_device

SCORE = "score"
"""What trials are compared by: target validation accuracy after each epoch (of a segmentation, its mean
intersection over union), and after the sweep the validation accuracy at the chosen coefficient by the stated
rule."""


ParentsHere = Callable[[TransferExperiment, Storage], dict[str, str]]
"""Makes what a trial starts from, where that differs from trial to trial, and names the runs by role."""


def search(
    resolved: Resolved[SearchExperiment], storage: Storage, watcher: Watcher, parents_here: ParentsHere
) -> Findings:
    """Run all trials, measure the best one's classifier on the test splits, and tabulate the rest.

    Raises ConfigError where the target has no validation split: some protocols can do without, no search can.
    """
    target = open_data(storage, resolved.datasets["data"], resolved.experiment.transfer.num_points)
    target.require_validation("A search", "transfer.data.validation_fraction")
    connect()
    with tempfile.TemporaryDirectory() as scratch:
        results = _tuner(resolved, storage, scratch, watcher, parents_here).fit()
    epochs = _epochs(resolved.experiment.transfer)
    trials = [_row(result, epochs) for result in results]
    _clear(storage, trials)
    finished = [row for row in trials if row["outcome"] == "finished"]
    if not finished:
        raise TrainingError(
            f"None of the {len(trials)} trials came to its end: {_first_error(results)}",
            remedy="run the transfer by itself first, with pointlab run",
        )
    best = min(finished, key=lambda row: (-row[SCORE], row["run"]))
    record = read_record(storage, str(best["run"]))
    assert record is not None, "a finished trial has written its record"
    return _findings(resolved, storage, record, trials)


def _findings(
    resolved: Resolved[SearchExperiment], storage: Storage, best: Record, trials: list[dict[str, Any]]
) -> Findings:
    """What the best trial found, its classifier's test, and what all trials took together."""
    trial = validate(TransferExperiment, best.config, best.run)
    at = Resolved(trial, best.run, resolved.datasets, best.parents)
    tested = (
        measure_test(at, best.run, storage, default_device()) if resolved.experiment.transfer.test else {}
    )
    return Findings(
        metrics={**best.metrics, **tested, "trials": len(trials)},
        curves={**best.curves, "trials": trials},
        notes={
            **best.notes,
            "chosen trial": best.run,
            "chosen settings": _chosen(resolved, trials, best.run),
        },
        samples_seen=sum(int(row["samples"]) for row in _each_once(trials)),
        device_seconds=sum(float(row["seconds"]) for row in _each_once(trials)),
        parents=best.parents,
    )


def _chosen(resolved: Resolved[SearchExperiment], trials: list[dict[str, Any]], run: str) -> str:
    """What was searched, as that trial had it, in the form that `--set` takes."""
    chosen = next(row for row in trials if row["run"] == run)
    return " ".join(f"{path}={chosen[path]}" for path in resolved.experiment.space)


def _each_once(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row of each run; trials that were stopped early have none, and all count."""
    runs = {row["run"]: row for row in trials if row["run"]}
    return [*runs.values(), *(row for row in trials if not row["run"])]


def _tuner(
    resolved: Resolved[SearchExperiment],
    storage: Storage,
    scratch: str,
    watcher: Watcher,
    parents_here: ParentsHere,
) -> tune.Tuner:
    """Tune keeps its own books in `scratch`; what a trial finds is kept by its record."""
    experiment = resolved.experiment
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    epochs = _epochs(experiment.transfer)
    at_a_time = tasks_at_a_time(experiment.launch, "trial", experiment.max_concurrent)
    run_trial = tune.with_parameters(_trial, resolved=resolved, storage=storage, parents_here=parents_here)
    return tune.Tuner(
        tune.with_resources(run_trial, resources_of_a_worker(experiment.launch)),
        param_space=_space(experiment),
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode="max",
            num_samples=experiment.num_trials,
            max_concurrent_trials=min(at_a_time, experiment.num_trials),
            search_alg=OptunaSearch(sampler=optuna.samplers.TPESampler(seed=experiment.seed)),
            scheduler=ASHAScheduler(
                time_attr="epoch",
                max_t=epochs + 1,  # the sweep after the last epoch counts as one more
                grace_period=max(1, min(experiment.grace_epochs, epochs)),
                reduction_factor=experiment.reduction_factor,
            ),
        ),
        run_config=tune.RunConfig(
            name=resolved.run,
            storage_path=scratch,
            callbacks=[_Watch(resolved.run, experiment.num_trials, watcher)],
            verbose=0,
        ),
    )


def _trial(
    config: dict[str, Any],
    resolved: Resolved[SearchExperiment],
    storage: Storage,
    parents_here: ParentsHere,
) -> None:
    """One trial in its own process; one that an earlier attempt or a twin finished is reported at once.

    Its samples and seconds are those of the transfer alone: pretraining has a record, and waiting costs none.
    """
    experiment = make_trial(resolved.experiment, config)
    assert experiment.datasets == resolved.experiment.datasets, "checked value by value for the space"
    varies = resolved.experiment.varies_pretraining
    parents = parents_here(experiment, storage) if varies else resolved.parents
    at = make_definite(experiment, resolved.datasets, parents)
    epochs = _epochs(experiment)
    with hold(storage, f"runs/{at.run}/lease", "a trial of a search", wait=True) as lease:
        record = read_record(storage, at.run)
        if record is None:
            started = time.monotonic()
            reporter = functools.partial(
                _report, run=at.run, last=epochs, started=started, measure=experiment.score
            )
            timeout = resolved.experiment.launch.stall_timeout
            context = LocalContext(storage, reporter=reporter, fence=lease.fence, stall_timeout=timeout)
            findings = transfer(at, context)
            record = build_record(at, findings, time.monotonic() - started)
            write_record(storage, record)
    tune.report(
        {
            "epoch": epochs + 1,
            SCORE: record.metrics.get("selection/score", record.metrics[experiment.score]),
            "coefficient": record.metrics.get("selection/coefficient", ""),
            "run": at.run,
            "is_finished": True,
            "samples": record.samples_seen,
            "seconds": record.wall_seconds,
        }
    )


def _report(
    epoch: int, figures: Mapping[str, float], *, run: str, last: int, started: float, measure: str
) -> None:
    """Let the scheduler judge an epoch, but the last: the sweep that follows it is cheap and tells more."""
    if epoch >= last:
        return
    score = figures[measure]
    seconds = time.monotonic() - started
    tune.report({"epoch": epoch, SCORE: score, "samples": figures["samples"], "seconds": seconds, "run": run})


def _clear(storage: Storage, trials: list[dict[str, Any]]) -> None:
    """Delete the runs of trials that were stopped early: nobody goes on from them.

    A trial that never reported has no run to delete, and one whose twin came to its end shares a record.
    """
    for row in trials:
        if row["outcome"] == "stopped early":
            if row["run"] and read_record(storage, row["run"]) is None:
                storage.delete_folder(f"runs/{row['run']}")
            row["run"] = ""


class _Watch(tune.Callback):  # type: ignore[misc]
    """Tells the watcher how many trials are over, and the best score so far."""

    def __init__(self, run: str, total: int, watcher: Watcher) -> None:
        self.run, self.total, self.watcher = run, total, watcher
        self.best = 0.0
        self.over: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its callbacks; a progress bar stays in its process."""
        return _Watch, (self.run, self.total, ignore_progress)

    def on_trial_result(self, result: dict[str, Any], **_: Any) -> None:
        self.best = max(self.best, result[SCORE])
        self._tell()

    def on_trial_complete(self, trial: Any, **_: Any) -> None:
        self.over.add(trial.trial_id)  # Tune calls before the trial itself says so
        self._tell()

    def on_trial_error(self, trial: Any, **_: Any) -> None:
        self.on_trial_complete(trial)

    def _tell(self) -> None:
        self.watcher(self.run, len(self.over), self.total, {SCORE: self.best})


def _space(experiment: SearchExperiment) -> dict[str, Any]:
    space = {}
    for path, distribution in experiment.space.items():
        if isinstance(distribution, Choice):
            space[path] = tune.choice(list(distribution.values))
        elif isinstance(distribution, Uniform):
            space[path] = tune.uniform(distribution.low, distribution.high)
        else:
            space[path] = tune.loguniform(distribution.low, distribution.high)
    return space


def _epochs(trial: TransferExperiment) -> int:
    """Epochs of a trial that is not stopped; its sweep reports as one more. A frozen backbone takes none."""
    return math.ceil(trial.training.epochs) if trial.has_epochs else 0


def _row(result: Any, epochs: int) -> dict[str, Any]:
    metrics = result.metrics or {}
    return {
        **result.config,
        SCORE: metrics.get(SCORE, 0.0),
        "coefficient": metrics.get("coefficient", ""),
        "epochs": min(metrics.get("epoch", 0), epochs),
        "samples": metrics.get("samples", 0),
        "seconds": metrics.get("seconds", 0.0),
        "outcome": "failed"
        if result.error
        else "finished"
        if metrics.get("is_finished")
        else "stopped early",
        "run": metrics.get("run", ""),
    }


def _first_error(results: Any) -> str:
    errors = [str(result.error).strip().splitlines()[-1] for result in results if result.error]
    return errors[0] if errors else "all were stopped early."
