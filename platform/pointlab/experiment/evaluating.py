"""How an evaluation is carried out: one pass over the clean clouds, and one under every condition."""

import time

from pointlab.errors import DataError
from pointlab.experiment.classifier import Classifier, read_classifier
from pointlab.experiment.corrupted import CorruptedSplit, withstand
from pointlab.experiment.evaluate import EvaluateExperiment
from pointlab.experiment.going_on import heeding
from pointlab.experiment.legacy import notes_on_subjects
from pointlab.experiment.mistaken import publish_mistakes
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import Findings, Resolved
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
    started = time.perf_counter()
    withstood = withstand(
        classifier,
        CorruptedSplit(data, experiment.split, experiment.suite, experiment.batch_size),
        context.device,
        baseline=experiment.divisor,
        heed=heeding(resolved.run, context),
    )
    if withstood.clean is not None and experiment.suite.origin == "generated":  # a release has other rows too
        publish_mistakes(context.storage, resolved.run, withstood.clean, data, experiment.split)
    figures = withstood.metrics(experiment.rounding)
    return Findings(
        metrics={f"{experiment.split}/{name}": value for name, value in figures.items()},
        notes=withstood.notes | notes_on_subjects({experiment.classifier.name: experiment.classifier}),
        samples_seen=withstood.seen.content.num_clouds,
        device_seconds=time.perf_counter() - started,
    )


def _require_classes(classifier: Classifier, data: Data) -> None:
    if classifier.class_names != data.manifest.class_names:
        raise DataError(
            f"The classifier tells apart {', '.join(classifier.class_names)};"
            f" {data.name} has {', '.join(data.manifest.class_names)}.",
            expected="equal classes in equal order",
        )
