"""How many clouds an experiment trains on and shows, told beforehand by a rule that is rough, and named.

A cloud that is only shown, as in validation, in a test or for features, costs a third of one that is trained
on, since a backward pass costs about two forward passes. The fit of a head on features is not in it.
"""

from typing import Any

from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.order import num_steps
from pointlab.experiment import TransferExperiment
from pointlab.experiment.resolve import Resolved
from pointlab.storage import Storage

SHOWN = 1 / 3
"""What a cloud costs that is only shown, of one that is trained on."""


def clouds_of(resolved: Resolved[Any], storage: Storage) -> float:
    """Clouds that it trains on, and a share of those that it is only shown."""
    manifest = read_dataset(storage, resolved.datasets["data"])
    if isinstance(resolved.experiment, TransferExperiment):
        return _of_transfer(resolved.experiment, manifest)
    return _of_training(resolved.experiment, manifest.rows["train"], manifest.rows.get("validation", 0))


def _of_training(experiment: Any, num_train: int, num_validation: int) -> float:
    """Whole batches, and validations."""
    training = experiment.training
    steps = num_steps(num_train, training.end, training.batch_size)
    validations = max(1.0, training.end / training.validate_every)
    return float(steps * training.batch_size + SHOWN * validations * num_validation)


def _of_transfer(experiment: TransferExperiment, manifest: DatasetManifest) -> float:
    """By its protocol, with the test and a suite of corruptions where there are these; folds count once."""
    num_train, num_validation = _num_train(experiment, manifest), manifest.rows.get("validation", 0)
    asked = num_validation + (manifest.rows.get("test", 0) if experiment.test else 0)
    suite = experiment.corruptions
    shown = asked * (1 + (len(suite.chosen) * len(suite.severities) if suite is not None else 0))
    if experiment.averages:
        sweep, soup = experiment.mixture.coefficients, experiment.soup.ingredients
        tried = len(sweep) if experiment.is_mixed else len(soup)
        return SHOWN * (shown + tried * (num_train + num_validation))
    if experiment.has_epochs and experiment.protocol != "few_shot":
        return _of_training(experiment, num_train, num_validation) + SHOWN * shown
    return SHOWN * (num_train + shown)


def _num_train(experiment: TransferExperiment, manifest: DatasetManifest) -> int:
    """Training clouds that are left where labels are few."""
    num_train = manifest.rows["train"]
    if experiment.samples_per_class is not None:
        return min(num_train, experiment.samples_per_class * len(manifest.class_names))
    share = 1.0 if experiment.labelled_scenes is None else experiment.labelled_scenes
    return max(1, round(num_train * share))
