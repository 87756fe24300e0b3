"""The subjects of an analysis, read back from their runs: backbones, and heads that gradients come through.

A subject keeps its own head if it tells the classes of the shown set apart. All others get the same kind of
new head, so that their gradients differ by what lies below it alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import nn

from pointlab.analysis import Subject
from pointlab.backbones import Backbone, BackboneConfig
from pointlab.experiment.analyse import AnalyseExperiment, RandomBackbone, SubjectConfig, Trained
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import read_module, seeded, seeded_backbone
from pointlab.experiment.transfer import TransferExperiment
from pointlab.storage import Storage, read_manifest
from pointlab.training.checkpoint import load_weights
from pointlab.transfer.knn import KnnHead


@dataclass(frozen=True)
class Reading:
    """How subjects are read: from the runs of an analysis, for the classes of the set that is shown."""

    resolved: Resolved[AnalyseExperiment]
    storage: Storage
    data: Data
    settle: Callable[[Backbone], None]
    """Gives random weights, which have seen no cloud, BatchNorm statistics of those that are shown."""

    def subjects(self) -> list[Subject]:
        """Every subject in the order of the config."""
        experiment = self.resolved.experiment
        return [found for name, config in experiment.subjects.items() for found in self._read(name, config)]

    def _read(self, name: str, config: SubjectConfig) -> Iterator[Subject]:
        match config:
            case RandomBackbone():
                yield self._with_fresh_head(name, self._random(config.backbone, config.seed))
            case TransferExperiment():
                yield from self._transfer(name, config)
            case _:
                yield self._trained(name, name, config, config.architecture)

    def _transfer(self, name: str, config: TransferExperiment) -> Iterator[Subject]:
        """What a transfer started from, with a new head as there was none for its target, and its end."""
        start, after = self._start(name, config), name
        weights = {key: tensor.clone() for key, tensor in start.state_dict().items()}
        if self.resolved.experiment.with_start:
            after = f"{name}-after"
            yield self._with_fresh_head(f"{name}-before", start)
        started_as = f"{name}-before" if self.resolved.experiment.with_start else ""
        subject = self._trained(after, name, config, config.architecture)
        yield replace(subject, start=weights, started_as=started_as)

    def _start(self, name: str, config: TransferExperiment) -> Backbone:
        if config.pretrained is None:
            return self._random(config.architecture, config.seed)
        backbone = seeded_backbone(config.architecture, config.seed)
        run = self.resolved.parents[f"{name}-pretrained"]
        load_weights(backbone, read_module(self.storage, run, "backbone"))
        return backbone

    def _random(self, architecture: BackboneConfig, seed: int) -> Backbone:
        backbone = seeded_backbone(architecture, seed)
        self.settle(backbone)
        return backbone

    def _trained(self, name: str, role: str, config: Trained, architecture: BackboneConfig) -> Subject:
        """The stored backbone of the parent in this role, with its stored head where that fits."""
        run, why_fresh = self.resolved.parents[role], ""
        if self.resolved.experiment.heads == "own" and self._has_fitting_head(run):
            classifier = read_classifier(config, run, self.storage)
            if classifier.reads == "pooled" and not isinstance(classifier.head, KnnHead):
                return Subject(name, classifier.backbone, classifier.head, head_kind="own")
            why_fresh = "no gradients come through its own to the pooled feature"
        backbone = seeded_backbone(architecture, config.seed)
        load_weights(backbone, read_module(self.storage, run, "backbone"))
        return replace(self._with_fresh_head(name, backbone), why_fresh=why_fresh)

    def _has_fitting_head(self, run: str) -> bool:
        manifest = read_manifest(self.storage, f"runs/{run}/model")
        assert manifest is not None, "a finished run left its model"
        names = tuple(manifest.details["class_names"])
        return "head.safetensors" in manifest.files and names == self.data.manifest.class_names

    def _with_fresh_head(self, name: str, backbone: Backbone) -> Subject:
        """A head that depends on the seed of the analysis alone, as fine-tuning a linear head begins."""
        with seeded(self.resolved.experiment.seed, "head"):
            head = nn.Linear(backbone.num_features, self.data.num_classes)
        return Subject(name, backbone, head)
