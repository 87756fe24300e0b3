"""What a trial does in its process: its lineage's missing runs, each an ordinary run, one after the other.

The runs of a trial are a fine-tuning, whose epochs it reports, and a mixture where the protocol mixes. Trials
that differ in the mixture alone share the fine-tuning: one holds its lease, the others wait and find its
record. With several workers each run is a fit of its own, and this process only looks after it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pointlab.engine.gauges import publish
from pointlab.engine.progress import Reporter
from pointlab.engine.search.stopping import EPOCH, GAIN, epochs_of
from pointlab.engine.trainer import fit
from pointlab.errors import PreemptedError, TrainingError
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.search import SearchExperiment, make_trial
from pointlab.experiment.search.settings import SCORE, Objective
from pointlab.experiment.search.trial_runs import make_in_turn, note_begun, runs_of_trial
from pointlab.experiment.search.trials import Cost, Trial, TrialLedger
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transferring import transfer
from pointlab.storage import Record, Storage, require_record
from pointlab.storage.lease import Fence
from pointlab.training import LocalContext, Run, ignore_progress
from pointlab.training.run import Line

logger = logging.getLogger(__name__)
TRIAL = "trial"
"""Under which a trial reports all that is known of it."""
Tell = Callable[[dict[str, Any]], None]
"""Takes a report, and returns when the trial may go on."""
ParentsHere = Callable[[TransferExperiment, Storage], dict[str, str]]
"""Makes what a trial starts from, where that differs from trial to trial, and names the runs by role."""


@dataclass(frozen=True)
class TrialRunner:
    """Carries out the trials of one search."""

    resolved: Resolved[SearchExperiment]
    storage: Storage
    parents_here: ParentsHere

    def run(self, config: dict[str, Any], tell: Tell, stop: threading.Event) -> None:
        """Run one trial and tell its epochs and its end; of a failure, what it was. `stop` lets it leave."""
        trial = Trial.model_validate_json(config[TRIAL])
        try:
            tell(_told(self._finished(trial, tell, stop)) | {"done": True})
        except Exception as error:  # any one trial may fail: the others go on
            if stop.is_set():
                return
            logger.exception("trial %d failed", trial.number)
            text = str(error).strip() or type(error).__name__
            over = trial.model_copy(update={"outcome": "failed", "error": text})
            tell(_told(over) | {"done": True})

    @property
    def _search(self) -> SearchExperiment:
        return self.resolved.experiment

    @property
    def _goal(self) -> Objective:
        return self._search.objectives[0]

    @property
    def _is_population(self) -> bool:
        return self._search.sampler.kind == "pbt"

    @property
    def _ledger(self) -> TrialLedger:
        return TrialLedger(self.storage, self.resolved.run)

    def _cost(self, record: Record, parent: str) -> Cost:
        """What the run itself took: the record of what goes on from a `parent` counts that one's samples,
        too."""
        before = require_record(self.storage, parent).samples_seen if parent else 0
        return Cost(record.samples_seen - before, record.wall_seconds)

    def _epochs_of(self, run: str) -> dict[int, float]:
        """How good a run was after each epoch, those that it took over included."""
        return {round(line["epoch"]): self._comparable(run, line) for line in self._validations(run)}

    def _validations(self, run: str) -> list[Line]:
        log = Run(self.storage, run).read_log()
        return [line for line in log if any(name.startswith("validation/") for name in line)]

    def _finished(self, trial: Trial, tell: Tell, stop: threading.Event) -> Trial:
        """The trial with what it found."""
        experiment = make_trial(self._search, trial.settings, trial.before)
        assert experiment.datasets == self._search.datasets, "checked value by value for the space"
        varies = self._search.varies_pretraining
        parents = self.parents_here(experiment, self.storage) if varies else dict(self.resolved.parents)
        runs = runs_of_trial(experiment, self.resolved.datasets, parents)
        judged = runs[0].run  # the fine-tuning, where there is one
        report = self._reporter(runs[0], trial, tell)
        parent = "" if trial.parent is None else self._ledger.one(trial.parent).run
        records = make_in_turn(
            runs,
            self.storage,
            lambda at, fence: self._carry_out(at, fence, stop, report if at.run == judged else None, parent),
            lambda at: self._begin(at.run, report if at.run == judged else None, stop),
        )
        return trial.model_copy(
            update={
                "outcome": "finished",
                "figures": figures_of(records[-1], experiment, self._search),
                "coefficient": records[-1].metrics.get("selection/coefficient"),
                "epochs": epochs_of(experiment),
                "costs": {each.run: self._cost(each, parent) for each in records},
                "by_epoch": self._epochs_of(runs[0].run) if self._is_population else {},
                "run": records[-1].run,
            }
        )

    def _carry_out(
        self,
        at: Resolved[TransferExperiment],
        fence: Fence,
        stop: threading.Event,
        report: Reporter | None,
        parent: str,
    ) -> Findings:
        """One run of the trial, in this process or on several workers; what goes on from the run `parent`
        begins where that is."""
        launch = self._search.launch
        if parent:
            Run(self.storage, at.run, fence).take_over(Run(self.storage, parent))
        if launch.fewest_workers == 1:
            timeout = launch.stall_timeout
            context = LocalContext(
                self.storage,
                reporter=report,
                fence=fence,
                stop=stop,
                stall_timeout=timeout,
                telemetry=publish,
            )
            return transfer(at, context)
        return fit(
            transfer, at, self.storage, launch, ignore_progress, fence=fence, stop=stop, reporter=report
        )

    def _begin(self, run: str, report: Reporter | None, stop: threading.Event) -> None:
        """Report the epochs of an earlier start, or of another trial, as a rung compares equal epochs only.

        PreemptedError if the trial is stopped by them.
        """
        note_begun(self.storage, run, self.resolved.run)
        if report is None:
            return
        for line in self._validations(run):
            report(round(line["epoch"]), line)
            if stop.is_set():
                raise PreemptedError(f"{run} was stopped by what it had reached before.")

    def _reporter(self, at: Resolved[TransferExperiment], trial: Trial, tell: Tell) -> Reporter:
        """Lets the scheduler judge an epoch, but the last: what follows it is cheap and tells more."""
        started = time.monotonic()

        def report(epoch: int, figures: Mapping[str, float]) -> None:
            if epoch >= epochs_of(at.experiment):
                return
            gain = self._comparable(at.run, figures)
            cost = Cost(int(figures["samples"]), time.monotonic() - started)
            known = trial.model_copy(update={"epochs": epoch, "run": at.run, "costs": {at.run: cost}})
            tell(_told(known, epoch, gain))

        return report

    def _comparable(self, run: str, figures: Mapping[str, float]) -> float:
        """How good an epoch is: by the objective, or where no epoch has it, by validation of the target.

        TrainingError for one that cannot be compared: no scheduler would ever stop such a trial.
        """
        goal = self._goal
        is_told = goal.metric in figures
        gain = goal.gain(figures[goal.metric]) if is_told else figures[self._search.transfer.score]
        if not math.isfinite(gain):
            raise TrainingError(f"What {run} is compared by is {gain} after epoch {figures['epoch']:g}.")
        return gain


def figures_of(record: Record, experiment: TransferExperiment, search: SearchExperiment) -> dict[str, float]:
    """The trial's objectives, from its record; TrainingError for one that it does not have."""
    own = record.metrics.get(experiment.score)  # a transfer without one may have other figures
    metrics = record.metrics if own is None else {SCORE: own, **record.metrics}
    for objective in search.objectives:
        if objective.metric not in metrics:
            known = ", ".join(sorted(name for name in metrics if "/" in name))
            raise TrainingError(
                f"{record.run} has no figure {objective.metric}, an objective of the search.",
                expected=f"one of {known}",
            )
        if not math.isfinite(metrics[objective.metric]):
            raise TrainingError(f"{objective.metric} of {record.run} is {metrics[objective.metric]}.")
    return {objective.metric: metrics[objective.metric] for objective in search.objectives}


def _told(trial: Trial, epoch: int = 0, gain: float = 0.0) -> dict[str, Any]:
    """What a trial says of itself; its end is no epoch, which a scheduler would compare with others."""
    return {EPOCH: epoch, GAIN: gain, TRIAL: trial.model_dump_json(exclude_defaults=True)}
