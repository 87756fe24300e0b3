"""How an evaluation is carried out: one pass over the clean clouds, and one under every condition."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pointlab.data.cache import CachedSplit
from pointlab.data.corruptions import (
    CLEAN,
    Condition,
    ContentHash,
    corrupted_batches,
    has_group,
    released_batches,
    require_whole,
)
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.evaluation.robustness import RobustnessResult, robustness_metrics, warnings_about
from pointlab.experiment.classifier import Classifier, read_classifier
from pointlab.experiment.evaluate import EvaluateExperiment
from pointlab.experiment.going_on import require_going_on
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.wiring import Data, open_data
from pointlab.training import TrainContext
from pointlab.training.numerics import prepare_process


def evaluate(resolved: Resolved[EvaluateExperiment], context: TrainContext) -> Findings:
    """Accuracy on clean clouds and under every corruption, the figures made of them, and the suite's hashes.

    Raises DataError where the set's classes are not the classifier's; PreemptedError when asked to end: the
    measurement is short and is then made again from its beginning.
    """
    experiment = resolved.experiment
    prepare_process(experiment.num_threads)
    data = open_data(context.storage, resolved.datasets["data"], experiment.points_shown)
    classifier = read_classifier(experiment.classifier, resolved.parents["classifier"], context.storage)
    _require_classes(classifier, data)
    task = Evaluation(resolved, context, classifier, data.split(experiment.split), data)
    return task.findings()


@dataclass(frozen=True)
class Evaluation:
    """One classifier and the clouds it is shown."""

    resolved: Resolved[EvaluateExperiment]
    context: TrainContext
    classifier: Classifier
    split: CachedSplit
    data: Data

    def findings(self) -> Findings:
        """All that the record will say."""
        started = time.perf_counter()
        experiment, content = self.resolved.experiment, ContentHash()
        result = self._result(content)
        prefix = experiment.split
        figures = robustness_metrics(result, experiment.divisor, experiment.rounding)
        return Findings(
            metrics={f"{prefix}/{name}": value for name, value in figures.items()},
            notes=self._notes(result, content),
            samples_seen=content.num_clouds,
            device_seconds=time.perf_counter() - started,
        )

    def _result(self, content: ContentHash) -> RobustnessResult:
        suite, accuracies = self.resolved.experiment.suite, dict[str, dict[int, float]]()
        conditions = list(suite.conditions())
        if suite.origin == "official":
            require_whole(self.split, [f"{name}/{severity}" for name, severity in conditions])
        clean = self._clean()
        for done, condition in enumerate(conditions, start=1):
            require_going_on(self.resolved.run, self.context)
            shown = _counted(self._corrupted(condition), condition, content)
            accuracy = self._accuracy(shown)
            accuracies.setdefault(condition[0], {})[condition[1]] = accuracy
            self.context.watch(self.resolved.run, done, len(conditions), {"accuracy": accuracy})
        return RobustnessResult(suite.name, suite.origin, self._suite_hash(), accuracies, clean)

    def _clean(self) -> float | None:
        """Accuracy on clean clouds; a release without them has none."""
        experiment = self.resolved.experiment
        if experiment.suite.origin == "generated":
            return self._accuracy(self.data.batches(experiment.split, experiment.batch_size)())
        if not has_group(self.split, CLEAN):
            return None
        return self._accuracy(released_batches(self.split, CLEAN, experiment.batch_size))

    def _corrupted(self, condition: Condition) -> Iterator[PointBatch]:
        experiment = self.resolved.experiment
        suite, size = experiment.suite, experiment.batch_size
        if suite.origin == "official":
            return released_batches(self.split, f"{condition[0]}/{condition[1]}", size)
        return corrupted_batches(self.split, suite, condition, size, experiment.points_shown)

    def _accuracy(self, batches: Iterable[PointBatch]) -> float:
        return self.classifier.measure(batches, self.context.device)["accuracy"]

    def _suite_hash(self) -> str:
        experiment = self.resolved.experiment
        return experiment.suite.identity(self.data.name, experiment.split, experiment.points_shown)

    def _notes(self, result: RobustnessResult, content: ContentHash) -> dict[str, str]:
        experiment = self.resolved.experiment
        return {
            "suite": result.suite,
            "origin": result.origin,
            "suite hash": result.suite_hash,
            "content hash": content.hexdigest(),
            "baseline": experiment.divisor.name if experiment.divisor else "none",
            **warnings_about(result, experiment.divisor),
        }


def _counted(
    batches: Iterator[PointBatch], condition: Condition, content: ContentHash
) -> Iterator[PointBatch]:
    for batch in batches:
        content.add(batch, condition)
        yield batch


def _require_classes(classifier: Classifier, data: Data) -> None:
    if classifier.class_names != data.manifest.class_names:
        raise DataError(
            f"The classifier tells apart {', '.join(classifier.class_names)};"
            f" {data.name} has {', '.join(data.manifest.class_names)}.",
            expected="equal classes in equal order",
        )
