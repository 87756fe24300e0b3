"""Early stopping by Ray Tune's schedulers, which learn what trials of earlier starts have reached."""

from collections.abc import Iterable
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from pointlab.experiment.search import SearchExperiment, make_trial
from pointlab.experiment.search.settings import Asha
from pointlab.experiment.search.trials import Trial
from pointlab.experiment.transfer import TransferExperiment

EPOCH, GAIN = "epoch", "gain"
"""What a trial reports: how far it is, and how good, the larger the better."""


def epochs_of(trial: TransferExperiment) -> int:
    """Epochs of a trial that is not stopped; its last is not judged. A frozen backbone takes none."""
    return -int(-trial.training.end // 1) if trial.has_epochs else 0


def scheduler_of(search: SearchExperiment, over: Iterable[Trial]) -> TrialScheduler:
    """What stops the trials of this search, after it is told of those that are over."""
    if not isinstance(search.stopping, Asha):
        return FIFOScheduler()
    epochs = max(1, _most_epochs(search))
    scheduler = ASHAScheduler(
        metric=GAIN,
        mode="max",
        time_attr=EPOCH,
        max_t=epochs,
        grace_period=min(search.stopping.grace_epochs, epochs),
        reduction_factor=search.stopping.reduction_factor,
    )
    for trial in over:
        known = SimpleNamespace(trial_id=f"earlier-{trial.number}")
        scheduler.on_trial_add(None, known)
        for epoch, gain in trial.by_epoch.items():
            scheduler.on_trial_result(None, known, {EPOCH: epoch, GAIN: gain})
    return scheduler


def _most_epochs(search: SearchExperiment) -> int:
    """Of any trial in the space."""
    values = [(path, value) for path, each in search.space.items() for value in each.extremes]
    return max(epochs_of(make_trial(search, {path: value})) for path, value in values)
