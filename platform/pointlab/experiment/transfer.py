"""`kind: transfer`: a pretrained backbone meets a target, and perhaps a shifted version of it.

Every choice (step, penalty, coefficient) reads validation splits only. The test splits are read once, by
`measure_test`, with the model that was chosen; a search's trials do not read them at all.
"""

import copy
from typing import Literal

import torch
from pydantic import Field, model_validator

from pointlab import distributed
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import classification_metrics, pooled_features
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.wiring import Data, open_data, publish_model, read_module, seeded, seeded_backbone
from pointlab.objectives import build_head
from pointlab.paradigms.supervised import Supervised, SupervisedConfig
from pointlab.storage import Storage
from pointlab.training import Run, TrainContext, Trainer, TrainingConfig, TrainingResult
from pointlab.training.checkpoint import load_weights
from pointlab.training.loop import make_deterministic
from pointlab.transfer import MixtureConfig, ProbeConfig, choose, curve, fit_probe, predict, sweep

Protocol = Literal["full", "linear_probe", "wise_ft", "wise_ft_lp"]


class TransferExperiment(StrictModel):
    """One pretrained backbone (or a random one), one target, one protocol, one seed."""

    kind: Literal["transfer"] = "transfer"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    pretrained: PretrainExperiment | None = None
    """The experiment whose backbone is transferred; null starts from random weights."""
    backbone: BackboneConfig | None = None
    """The architecture, where nothing is pretrained."""
    data: DatasetConfig
    """The target."""
    shifted: DatasetConfig | None = None
    """The same classes under a shift; measured, and never trained on."""
    num_points: int = Field(default=1024, ge=1)
    protocol: Protocol = "full"
    """full: fine-tune all; linear_probe: frozen backbone, linear head; wise_ft: mix pretrained and
    fine-tuned backbones, keep the fine-tuned head; wise_ft_lp: mix, freeze, and probe again."""
    augmentation: AugmentationConfig = AugmentationConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    training: TrainingConfig = TrainingConfig(selection="best")
    mixture: MixtureConfig = MixtureConfig()
    probe: ProbeConfig = ProbeConfig()
    test: bool = True
    """Whether the test splits are read at the end; a search's trials leave them alone."""
    launch: LaunchConfig = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _has_one_architecture(self) -> "TransferExperiment":
        if (self.pretrained is None) == (self.backbone is None):
            raise ValueError("give either pretrained (an experiment) or backbone (an architecture), not both")
        if self.shifted is None and self.mixture.selection == "shifted":
            raise ValueError("mixture.selection is 'shifted', but no shifted set is given")
        return self

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration, wherever it comes from."""
        if self.pretrained is not None:
            return self.pretrained.backbone
        assert self.backbone is not None, "checked when the model was made"
        return self.backbone


def transfer(resolved: Resolved[TransferExperiment], context: TrainContext) -> Findings:
    """Carry out the protocol, store the chosen classifier, and measure it."""
    experiment = resolved.experiment
    make_deterministic(experiment.training.num_threads)
    data = open_roles(resolved, context.storage)
    start = _starting_backbone(resolved, context.storage)
    if experiment.protocol == "linear_probe":
        findings = _linear_probe(resolved, context, data, start)
    else:
        findings = _fine_tune(resolved, context, data, start)
    if experiment.test and distributed.rank() == 0:
        findings.metrics.update(measure_test(resolved, resolved.run, context.storage, context.device))
    return findings


def open_roles(resolved: Resolved[TransferExperiment], storage: Storage) -> dict[str, Data]:
    """The data by role, `target` and perhaps `shifted`; DataError if their classes differ."""
    num_points = resolved.experiment.num_points
    data = {"target": open_data(storage, resolved.datasets["data"], num_points)}
    if "shifted" in resolved.datasets:
        data["shifted"] = open_data(storage, resolved.datasets["shifted"], num_points)
        names = [entry.manifest.class_names for entry in data.values()]
        if names[0] != names[1]:
            raise DataError(
                f"The target has the classes {', '.join(names[0])}; the shifted set has {', '.join(names[1])}.",
                expected="equal classes in equal order",
            )
    return data


def _starting_backbone(resolved: Resolved[TransferExperiment], storage: Storage) -> Backbone:
    backbone = seeded_backbone(resolved.experiment.architecture, resolved.experiment.seed)
    if "pretrained" in resolved.parents:
        load_weights(backbone, read_module(storage, resolved.parents["pretrained"], "backbone"))
    return backbone


def _linear_probe(
    resolved: Resolved[TransferExperiment], context: TrainContext, data: dict[str, Data], backbone: Backbone
) -> Findings:
    """Features of the frozen backbone, extracted once; a convex fit on them."""
    experiment, size = resolved.experiment, resolved.experiment.training.batch_size
    backbone.to(context.device).requires_grad_(False)
    tables = {}
    for split in ("train", "validation"):
        context.watch(resolved.run, len(tables), 3, {})
        (tables[split],) = pooled_features([backbone], data["target"].batches(split, size)(), context.device)
    head = fit_probe(tables["train"], tables["validation"], data["target"].num_classes, experiment.probe)
    figures = classification_metrics(
        predict(head, tables["validation"].features), tables["validation"].labels
    )
    publish_model(
        context.storage,
        resolved.run,
        {"backbone": backbone, "head": head},
        experiment.architecture,
        data["target"].manifest.class_names,
    )
    return Findings(
        {f"validation/{k}": v for k, v in figures.items()}, samples_seen=len(tables["train"].labels)
    )


def _fine_tune(
    resolved: Resolved[TransferExperiment], context: TrainContext, data: dict[str, Data], start: Backbone
) -> Findings:
    experiment, target = resolved.experiment, data["target"]
    with seeded(experiment.seed, "head"):
        paradigm = Supervised(experiment.supervised, copy.deepcopy(start), target.num_classes)
    training = target.for_training(
        experiment.seed, experiment.augmentation, experiment.training.batch_size, paradigm.inputs
    )
    run = Run(context.storage, resolved.run)
    result = Trainer(paradigm, experiment.training, context, training, run).train()
    if distributed.rank() > 0:
        return Findings({})
    if experiment.protocol == "full":
        return _keep_fine_tuned(resolved, context, target, paradigm, result)
    return _mix(resolved, context, data, start, paradigm, result)


def _keep_fine_tuned(
    resolved: Resolved[TransferExperiment],
    context: TrainContext,
    target: Data,
    paradigm: Supervised,
    result: TrainingResult,
) -> Findings:
    architecture = resolved.experiment.architecture
    publish_model(
        context.storage, resolved.run, paradigm.exported(), architecture, target.manifest.class_names
    )
    notes = {"selected step": f"{result.selected_step} of {result.steps}"}
    return Findings(result.metrics, {}, notes, result.samples_seen, result.device_seconds)


def _mix(
    resolved: Resolved[TransferExperiment],
    context: TrainContext,
    data: dict[str, Data],
    start: Backbone,
    paradigm: Supervised,
    result: TrainingResult,
) -> Findings:
    """Sweep the coefficients on validation data and keep the classifier that the stated rule prefers."""
    experiment, target = resolved.experiment, data["target"]
    if experiment.protocol not in ("wise_ft", "wise_ft_lp"):
        raise ConfigError(f"The protocol {experiment.protocol} mixes no weights.")
    size = experiment.training.batch_size
    mixtures = sweep(
        (start, paradigm.backbone),
        paradigm.head,
        target.batches("train", size),
        {role: entry.batches("validation", size) for role, entry in data.items()},
        num_classes=target.num_classes,
        mixture=experiment.mixture,
        probe=experiment.probe,
        device=context.device,
    )
    chosen = choose(mixtures, experiment.protocol, experiment.mixture.selection)
    modules = {"backbone": chosen.backbone, "head": chosen.head}
    publish_model(
        context.storage, resolved.run, modules, experiment.architecture, target.manifest.class_names
    )
    figures = {f"{role}-validation/accuracy": value for role, value in chosen.accuracy.items()}
    selection = experiment.mixture.selection
    return Findings(
        metrics={
            **result.metrics,
            **figures,
            "selection/coefficient": chosen.coefficient,
            "selection/score": chosen.score(selection),
        },
        curves={"coefficients": curve(mixtures)},
        notes={
            "selected step": f"{result.selected_step} of {result.steps}",
            "selection rule": f"highest {selection} validation accuracy; the largest of equal coefficients",
            "BatchNorm": experiment.mixture.batch_norm,
        },
        samples_seen=result.samples_seen,
        device_seconds=result.device_seconds,
    )


def measure_test(
    resolved: Resolved[TransferExperiment], run: str, storage: Storage, device: torch.device
) -> dict[str, float]:
    """Accuracy of the classifier stored by `run` on the test split of every role: the one reading of it."""
    experiment = resolved.experiment
    data = open_roles(resolved, storage)
    backbone = build_backbone(experiment.architecture)
    load_weights(backbone, read_module(storage, run, "backbone"))
    weights = read_module(storage, run, "head")
    num_classes = data["target"].num_classes
    head = (
        torch.nn.Linear(backbone.num_features, num_classes)
        if weights.keys() == {"weight", "bias"}
        else build_head(experiment.supervised.head, backbone.num_features, num_classes)
    )
    load_weights(head, weights)
    figures: dict[str, float] = {}
    for role, entry in data.items():
        batches = entry.batches("test", experiment.training.batch_size)()
        (table,) = pooled_features([backbone.to(device)], batches, device)
        measured = classification_metrics(predict(head, table.features), table.labels)
        prefix = "test" if role == "target" else f"{role}-test"
        figures |= {f"{prefix}/{name}": value for name, value in measured.items()}
    return figures
