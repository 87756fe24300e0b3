"""`kind: pretrain`: a backbone is trained on shards by a paradigm."""

from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig, require_points
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.wiring import open_data, publish_model, seeded, seeded_backbone
from pointlab.paradigms import ParadigmConfig, SupervisedConfig, build_paradigm
from pointlab.paradigms.compatibility import require_compatible
from pointlab.training import Run, TrainContext, Trainer, TrainingConfig


class PretrainExperiment(StrictModel):
    """One backbone, one paradigm, one dataset, one seed."""

    kind: Literal["pretrain"] = "pretrain"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    data: DatasetConfig
    num_points: int = Field(default=1024, ge=1)
    """Points of a cloud that the network sees; at most those prepared."""
    augmentation: AugmentationConfig = AugmentationConfig()
    backbone: BackboneConfig
    paradigm: ParadigmConfig = SupervisedConfig()
    training: TrainingConfig = TrainingConfig()
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _data_suits(self) -> "PretrainExperiment":
        require_points(self.num_points, [self.data])
        return self

    @model_validator(mode="after")
    def _parts_go_together(self) -> "PretrainExperiment":
        require_compatible(self.paradigm, self.backbone)
        if self.paradigm.num_views > 1 and self.augmentation.keeps_all:
            raise ValueError(
                f"{self.paradigm.kind} compares views of a cloud, but augmentation draws nothing, so that"
                " they are equal: set augmentation.jitter, such as 0.01, and augmentation.crop, such as"
                " [0.5, 0.9]"
            )
        return self

    @property
    def notes(self) -> dict[str, str]:
        """What a reader of its figures should know of its settings."""
        if self.paradigm.num_views == 1 or not self.augmentation.keeps_shape:
            return {}
        return {
            "views": "two views of a cloud differ in pose and scale alone, which makes the contrast easy:"
            " augmentation.jitter and augmentation.crop make it harder"
        }

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with."""
        return f"pretraining/{self.paradigm.kind}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Its one dataset."""
        return {"data": self.data}


def pretrain(resolved: Resolved[PretrainExperiment], context: TrainContext) -> Findings:
    """Train, store the exported modules, and hand over the validation figures of the selected step."""
    experiment = resolved.experiment
    data = open_data(context.storage, resolved.datasets["data"], experiment.num_points)
    backbone = seeded_backbone(experiment.backbone, experiment.seed)
    with seeded(experiment.seed, "paradigm"):
        paradigm = build_paradigm(experiment.paradigm, backbone, data.given())
    training = data.for_training(
        experiment.seed, experiment.augmentation, experiment.training.batch_size, paradigm
    )
    run = Run(context.storage, resolved.run, context.fence)
    result = Trainer(paradigm, experiment.training, context, training, run).train()
    publish_model(
        context.storage, resolved.run, paradigm.exported(), experiment.backbone, data.manifest.class_names
    )
    findings = findings_of(result)
    return replace(findings, notes=findings.notes | experiment.notes)
