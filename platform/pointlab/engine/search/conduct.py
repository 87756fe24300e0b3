"""One search: its trials are run or found, the best one's classifier is tested, and the rest is tabulated."""

import logging
import tempfile

from ray import tune

from pointlab.config import validate
from pointlab.engine.search.process import TrialProcess
from pointlab.engine.search.room import resources_of_a_trial, trials_at_a_time
from pointlab.engine.search.searcher import QueueSearcher
from pointlab.engine.search.stopping import scheduler_of
from pointlab.engine.search.trial import ParentsHere, TrialRunner
from pointlab.engine.session import connect
from pointlab.engine.trainer import own_interrupt_handler
from pointlab.errors import PreemptedError, TrainingError
from pointlab.experiment.going_on import heeding
from pointlab.experiment.measuring import measure_test
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.search import SearchExperiment
from pointlab.experiment.search.findings import (
    chosen,
    contenders,
    curves_of,
    note_of_failures,
    notes_of,
    total_cost,
)
from pointlab.experiment.search.trial_queue import TrialQueue
from pointlab.experiment.search.trial_runs import clear_begun
from pointlab.experiment.search.trials import Trial, TrialLedger
from pointlab.experiment.search.warm_start import earlier_trials
from pointlab.experiment.transfer import TransferExperiment
from pointlab.interruption import stop_on_sigterm
from pointlab.storage import Storage, require_record
from pointlab.storage.lease import Fence
from pointlab.training import LocalContext, Watcher

logger = logging.getLogger(__name__)


def search(
    resolved: Resolved[SearchExperiment],
    storage: Storage,
    watcher: Watcher,
    parents_here: ParentsHere,
    fence: Fence | None = None,
) -> Findings:
    """Run all trials that are not over, measure the best one's classifier on the test splits, tabulate all.

    With a `fence`, trials are noted only while its lease holds.

    Raises ConfigError where the target has no validation split: some protocols can do without, no search can.
    """
    experiment = resolved.experiment
    target = open_data(storage, resolved.datasets["data"], experiment.transfer.num_points)
    target.require_validation("A search", "transfer.data.validation_fraction")
    earlier, num_others = earlier_trials(experiment, storage)
    queue = TrialQueue(experiment, TrialLedger(storage, resolved.run, fence), earlier)
    if queue.num_over:
        logger.info("%s: %d of %d trials are over", resolved.run, queue.num_over, experiment.total)
    if not queue.is_empty:
        connect()
        _run_trials(resolved, storage, queue, watcher, parents_here)
        _require_all(resolved.run, queue)
    trials = [trial for _, trial in sorted(queue.trials.items())]
    for run in {trial.run for trial in trials if trial.outcome == "stopped early" and trial.run}:
        clear_begun(storage, run, resolved.run)
    findings = _findings(resolved, storage, trials, watcher)
    if experiment.warm_start:
        told = f"{len(earlier)} trials of earlier searches were told, {num_others} were of another space"
        findings.notes["warm start"] = told
    return findings


def _run_trials(
    resolved: Resolved[SearchExperiment],
    storage: Storage,
    queue: TrialQueue,
    watcher: Watcher,
    parents_here: ParentsHere,
) -> None:
    """Empty the queue. Tune keeps its own books in a scratch folder; what a trial finds is in its record."""
    experiment = resolved.experiment
    process = tune.with_parameters(TrialProcess, runner=TrialRunner(resolved, storage, parents_here))
    over = [trial for trial in queue.trials.values() if trial.is_over]
    with tempfile.TemporaryDirectory() as scratch, own_interrupt_handler():
        tune.Tuner(
            tune.with_resources(process, resources_of_a_trial(experiment.launch)),
            tune_config=tune.TuneConfig(
                num_samples=queue.num_waiting,
                max_concurrent_trials=trials_at_a_time(experiment),
                search_alg=QueueSearcher(resolved.run, queue, watcher),
                scheduler=scheduler_of(experiment, over),
            ),
            run_config=tune.RunConfig(
                name=resolved.run,
                storage_path=scratch,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=experiment.launch.max_failures),
                verbose=0,
            ),
        ).fit()


def _require_all(run: str, queue: TrialQueue) -> None:
    """Return if every trial is over; Tune also returns where Ctrl-C was pressed."""
    if queue.num_over < queue.search.total:
        raise PreemptedError(
            f"The search {run} was asked to end; {queue.num_over} of its {queue.search.total} trials are"
            " over.",
            remedy="run it again: it goes on from there",
        )


def measure_chosen(
    run: str, best: Resolved[TransferExperiment], storage: Storage, watcher: Watcher
) -> Findings:
    """Figures of the best trial's classifier on the test splits; SIGTERM ends this between two conditions."""
    with stop_on_sigterm() as stop:
        context = LocalContext(storage, watcher, stop=stop)
        heed = heeding(run, context, "under corruptions of test")
        return measure_test(best, best.run, storage, context.device, heed, asked_by=run)


def _findings(
    resolved: Resolved[SearchExperiment], storage: Storage, trials: list[Trial], watcher: Watcher
) -> Findings:
    """What the best trial found, its classifier's test, and what all trials took together."""
    experiment = resolved.experiment
    if not contenders(experiment, trials):
        errors = [trial.error for trial in trials if trial.error]
        raise TrainingError(
            f"None of the {len(trials)} trials came to its end:"
            f" {errors[0] if errors else 'all were stopped early.'}",
            remedy="run the transfer by itself first, with pointlab run",
        )
    best = chosen(experiment, trials)
    record = require_record(storage, best.run)
    at = Resolved(
        validate(TransferExperiment, record.config, best.run), best.run, resolved.datasets, record.parents
    )
    tested = measure_chosen(resolved.run, at, storage, watcher) if experiment.transfer.test else Findings({})
    cost = total_cost(trials)
    return Findings(
        metrics={**record.metrics, **tested.metrics, "trials": len(trials)},
        curves={**record.curves, **curves_of(experiment, trials)},
        notes={**record.notes, **tested.notes, **notes_of(experiment, best), **note_of_failures(trials)},
        samples_seen=cost.samples,
        device_seconds=cost.seconds * experiment.launch.fewest_workers,
        parents=record.parents,
    )
