"""A split under every condition of a suite, and what a finished classifier makes of it.

Evaluations and transfers measure by this one path, so that their figures are of the same clouds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch

from pointlab.data.corruptions import (
    CLEAN,
    Condition,
    ContentHash,
    CorruptionSuite,
    corrupted_batches,
    has_group,
    released_batches,
    require_whole,
    with_at_least,
)
from pointlab.data.sample import PointBatch
from pointlab.evaluation.baselines import Baseline
from pointlab.evaluation.robustness import RobustnessResult, Rounding, robustness_metrics, warnings_about
from pointlab.experiment.classifier import Answers, Classifier
from pointlab.experiment.going_on import Heed, heed_nothing
from pointlab.experiment.prepared_data import Data
from pointlab.transfer import Batches


@dataclass(frozen=True)
class CorruptedSplit:
    """One split of a set, clean and under every condition of a suite."""

    data: Data
    split: str
    suite: CorruptionSuite
    batch_size: int

    @property
    def identity(self) -> str:
        """Hash of all that decides which clouds these are."""
        return self.suite.identity(self.data.name, self.split, self.data.num_points)

    def passes(self, fewest: int = 1) -> dict[Condition, Batches]:
        """For every condition a function that goes through its clouds once, each of so many points at least.

        Raises DataError where a released set lacks some.
        """
        conditions = list(self.suite.conditions())
        if self.suite.origin == "official":
            groups = [f"{name}/{severity}" for name, severity in conditions]
            require_whole(self.data.split(self.split), groups)
        return {condition: partial(self._under, condition, fewest) for condition in conditions}

    def clean(self) -> Iterable[PointBatch] | None:
        """The clouds as they are; None of a release that has no clean ones."""
        if self.suite.origin == "generated":
            return self.data.batches(self.split, self.batch_size)()
        split = self.data.split(self.split)
        return released_batches(split, CLEAN, self.batch_size) if has_group(split, CLEAN) else None

    def _under(self, condition: Condition, fewest: int) -> Iterator[PointBatch]:
        split, suite, size = self.data.split(self.split), self.suite, self.batch_size
        if suite.origin == "official":
            batches = released_batches(split, f"{condition[0]}/{condition[1]}", size)
        else:
            batches = corrupted_batches(split, suite, condition, size, self.data.num_points)
        return with_at_least(batches, fewest)


@dataclass(frozen=True)
class Withstood:
    """Accuracies of a classifier under a suite, and of which clouds they are."""

    result: RobustnessResult
    seen: "Seen"
    baseline: Baseline | None
    clean: Answers | None = None
    """What it said of the clean clouds, where there are any."""

    def metrics(self, rounding: Rounding = "none") -> dict[str, float]:
        """All of `robustness_metrics`."""
        return robustness_metrics(self.result, self.baseline, rounding)

    @property
    def notes(self) -> dict[str, str]:
        """What a record says of the clouds, and of what to know before comparing figures on them."""
        return {
            "suite": self.result.suite,
            "origin": self.result.origin,
            "suite hash": self.result.suite_hash,
            "content hash": self.seen.content.hexdigest(),
            "baseline": self.baseline.name if self.baseline else "none",
            **self.seen.notes,
            **warnings_about(self.result, self.baseline),
        }


def withstand(
    classifier: Classifier,
    shown: CorruptedSplit,
    device: torch.device,
    *,
    baseline: Baseline | None,
    heed: Heed = heed_nothing,
) -> Withstood:
    """Measure the classifier on the clean clouds and under every condition, one after the other.

    `heed` is told how far this is, and may end it between two conditions.
    """
    accuracies, seen = dict[str, dict[int, float]](), Seen(classifier.backbone.min_points)
    passes, clean = shown.passes(), shown.clean()
    heed(0, len(passes), {})
    said = None if clean is None else classifier.answer(clean, device)
    of_clean = None if said is None else said.metrics()["accuracy"]
    for done, (condition, batches) in enumerate(passes.items(), start=1):
        accuracy = classifier.measure(seen.seeing(batches(), condition), device)["accuracy"]
        accuracies.setdefault(condition[0], {})[condition[1]] = accuracy
        heed(done, len(passes), {"accuracy": accuracy})
    suite = shown.suite
    result = RobustnessResult(suite.name, suite.origin, shown.identity, accuracies, of_clean)
    return Withstood(result, seen, baseline, said)


@dataclass
class Seen:
    """Which corrupted clouds a network was shown, and how many of them have fewer than the `fewest` points
    that it takes: they repeat points."""

    fewest: int
    content: ContentHash = field(default_factory=ContentHash)
    num_small: int = 0

    def seeing(self, batches: Iterable[PointBatch], condition: Condition) -> Iterator[PointBatch]:
        """The batches as the network takes them, each counted as it is."""
        for batch in batches:
            self.content.add(batch, condition)
            self.num_small += int((batch.counts < self.fewest).sum())
            yield from with_at_least([batch], self.fewest)

    @property
    def notes(self) -> dict[str, str]:
        """That points were repeated, where they were."""
        if not self.num_small:
            return {}
        return {
            "few points": f"{self.num_small:,} of {self.content.num_clouds:,} corrupted clouds have fewer"
            f" than the {self.fewest} points that the network takes, and repeat them"
        }
