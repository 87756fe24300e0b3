"""What the protocols of a transfer share: its data, the backbone it starts from, the classifier it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn

from pointlab.backbones import Backbone
from pointlab.evaluation import FeatureName, FeatureTable
from pointlab.evaluation.feature_cache import ShownClouds, cached_features
from pointlab.evaluation.reading import read
from pointlab.experiment.class_map import classes_between
from pointlab.experiment.classifier import Classifier, read_classifier
from pointlab.experiment.corrupted import CorruptedSplit
from pointlab.experiment.going_on import heeded, heeding, while_going_on
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import FINE_TUNED, Resolved
from pointlab.experiment.stored_models import publish_model, read_module, seeded_backbone
from pointlab.experiment.transfer import TransferExperiment
from pointlab.storage import Storage
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights
from pointlab.training.flops import counted
from pointlab.transfer import Batches, Showing, reestimate


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
        return while_going_on(data.batches(split, size, inputs, rows), self.resolved.run, self.context)

    def validation(self) -> dict[str, Showing]:
        """What classifiers are compared on, by role: validation clouds, and the target's when corrupted."""
        shown = {
            role: Showing((self.batches(data, "validation"),), data.shared)
            for role, data in self.data.items()
        }
        if (suite := self.experiment.corruptions) is None:
            return shown
        size = self.experiment.training.batch_size
        fewest = seeded_backbone(self.experiment.architecture, self.experiment.seed).min_points
        passes = CorruptedSplit(self.target, "validation", suite, size).passes(fewest)
        heed = heeding(self.resolved.run, self.context, "under corruptions")
        return {**shown, "corrupted": Showing(heeded(tuple(passes.values()), heed))}

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
        return self.tables(backbone, split, (feature,))[0]

    def tables(self, backbone: Backbone, split: str, features: Sequence[FeatureName]) -> list[FeatureTable]:
        """The same for several features, from one pass."""
        return self.extracted(
            backbone, self.target, split, self.subset() if split == "train" else None, features
        )

    def extracted(
        self,
        backbone: Backbone,
        data: Data,
        split: str,
        rows: Int64[np.ndarray, " rows"] | None,
        features: Sequence[FeatureName],
    ) -> list[FeatureTable]:
        """These features of a split of any set, or of these of its rows: computed once on each machine."""
        stored, heed = data.split(split), heeding(self.resolved.run, self.context, "features")
        rows = np.arange(len(stored)) if rows is None else rows
        clouds = ShownClouds(
            data.name,
            split,
            rows,
            torch.from_numpy(stored.labels[rows].astype(np.int64)),
            data.num_points,
            self.experiment.training.batch_size,
            show=lambda some: self.batches(data, split, some)(),
        )
        return cached_features(
            backbone,
            self.experiment.architecture,
            clouds,
            self.context.device,
            features,
            watch=lambda done, total: heed(done, total, {}),
        )

    def validation_features(self, backbone: Backbone, feature: FeatureName = "pooled") -> FeatureTable | None:
        """The same of the validation split; None where the target has none."""
        has_validation = bool(self.target.manifest.rows.get("validation"))
        return self.features(backbone, "validation", feature) if has_validation else None

    def flops_of_features(
        self, backbone: Backbone, features: Sequence[FeatureName], *tables: FeatureTable
    ) -> float:
        """Operations that these features of the clouds of the tables take, kept or not: as many for each
        cloud as for one of the first batch of training."""
        batch = next(iter(self.train_batches()()))
        with torch.no_grad(), counted() as counter:
            read(backbone.eval(), batch.to(self.context.device), features)
        return float(counter.get_total_flops()) / len(batch) * sum(len(table.labels) for table in tables)

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
    """The data by role, `target` and perhaps `shifted`; DataError if their classes are neither equal nor
    mapped, ConfigError where they are mapped by names that there are not."""
    experiment = resolved.experiment
    data = {"target": open_data(storage, resolved.datasets["data"], experiment.num_points)}
    if "shifted" in resolved.datasets:
        shifted = open_data(storage, resolved.datasets["shifted"], experiment.num_points)
        shared = classes_between(experiment, shifted.manifest, data["target"].manifest)
        data["shifted"] = replace(shifted, shared=shared)
    return data
