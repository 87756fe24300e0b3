"""What the protocols of a transfer share: its data, the backbone it starts from, the classifier it leaves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from torch import nn

from pointlab.backbones import Backbone
from pointlab.errors import DataError
from pointlab.evaluation import FeatureName, FeatureTable, pooled_features
from pointlab.experiment.classifier import Classifier, read_classifier
from pointlab.experiment.resolve import FINE_TUNED, Resolved
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.wiring import Data, open_data, publish_model, read_module, seeded_backbone
from pointlab.storage import Storage
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights
from pointlab.transfer import Batches, reestimate


@dataclass(frozen=True)
class TransferTask:
    """One transfer with its data by role, `target` and perhaps `shifted`."""

    resolved: Resolved[TransferExperiment]
    context: TrainContext
    data: dict[str, Data]

    @property
    def experiment(self) -> TransferExperiment:
        """The settings of the transfer."""
        return self.resolved.experiment

    @property
    def target(self) -> Data:
        """The set that is transferred to."""
        return self.data["target"]

    @property
    def is_random(self) -> bool:
        """Whether nothing was pretrained."""
        return "pretrained" not in self.resolved.parents

    def subset(self) -> Int64[np.ndarray, " rows"] | None:
        """Rows of the target's training split that may be trained on; None for all."""
        if self.experiment.segments:
            return self.target.share_of_scenes(self.experiment.labelled_scenes, self.experiment.seed)
        return self.target.few_per_class(self.experiment.samples_per_class, self.experiment.seed)

    @property
    def num_train(self) -> int:
        """How many these are."""
        subset = self.subset()
        return self.target.manifest.rows["train"] if subset is None else len(subset)

    def train_batches(self) -> Batches:
        """A function that goes through these rows once, without augmentation."""
        return self.batches(self.target, "train", self.subset())

    def batches(self, data: Data, split: str, rows: Int64[np.ndarray, " rows"] | None = None) -> Batches:
        """A function that goes through a split, or these of its rows, with all that the backbone reads."""
        size, inputs = self.experiment.training.batch_size, self.experiment.architecture.inputs
        return data.batches(split, size, inputs, rows)

    def start(self) -> Backbone:
        """The pretrained backbone, or a random one where nothing was pretrained."""
        backbone = seeded_backbone(self.experiment.architecture, self.experiment.seed)
        if not self.is_random:
            weights = read_module(self.context.storage, self.resolved.parents["pretrained"], "backbone")
            load_weights(backbone, weights)
        return backbone

    def fine_tuned(self) -> Classifier:
        """The finished classifier that a mixture mixes with the start."""
        fine_tuning = self.experiment.fine_tuning
        assert fine_tuning is not None, "only mixtures ask for it"
        return read_classifier(fine_tuning, self.resolved.parents[FINE_TUNED], self.context.storage)

    def ingredients(self) -> list[Classifier]:
        """The finished classifiers that a soup averages."""
        parents, storage = self.resolved.parents, self.context.storage
        fine_tunings = self.experiment.fine_tunings.items()
        return [read_classifier(each, parents[role], storage) for role, each in fine_tunings]

    def frozen_start(self) -> Backbone:
        """The same on the task's device, never to be trained; BatchNorm of random weights has the statistics
        of the training clouds."""
        backbone = self.start().to(self.context.device).requires_grad_(False)
        if self.is_random:  # without statistics of some data its features would collapse
            read = Backbone.point_features if self.experiment.segments else Backbone.__call__
            reestimate([backbone], self.train_batches()(), self.context.device, read)
        return backbone

    def features(self, backbone: Backbone, split: str, feature: FeatureName = "pooled") -> FeatureTable:
        """What the frozen `backbone` says of the clouds of the target: of `train` those to be trained on."""
        batches = self.train_batches() if split == "train" else self.batches(self.target, split)
        return pooled_features([backbone], batches(), self.context.device, feature)[0]

    def validation_features(self, backbone: Backbone, feature: FeatureName = "pooled") -> FeatureTable | None:
        """The same of the validation split; None where the target has none."""
        has_validation = bool(self.target.manifest.rows.get("validation"))
        return self.features(backbone, "validation", feature) if has_validation else None

    def publish(self, backbone: Backbone, head: nn.Module, reads: FeatureName = "pooled") -> None:
        """Store the classifier that was chosen, and which feature its head reads."""
        publish_model(
            self.context.storage,
            self.resolved.run,
            {"backbone": backbone, "head": head},
            self.experiment.architecture,
            self.target.manifest.class_names,
            needs={"reads": reads},
        )


def open_roles(resolved: Resolved[TransferExperiment], storage: Storage) -> dict[str, Data]:
    """The data by role, `target` and perhaps `shifted`; DataError if their classes differ."""
    num_points = resolved.experiment.num_points
    names = "part_names" if resolved.experiment.segments else "class_names"
    data = {"target": open_data(storage, resolved.datasets["data"], num_points)}
    if "shifted" in resolved.datasets:
        data["shifted"] = open_data(storage, resolved.datasets["shifted"], num_points)
        target, shifted = (", ".join(getattr(entry.manifest, names)) for entry in data.values())
        if target != shifted:
            raise DataError(
                f"The target has the classes {target}; the shifted set has {shifted}.",
                expected="equal classes in equal order",
            )
    return data
