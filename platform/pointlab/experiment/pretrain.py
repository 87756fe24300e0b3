"""`kind: pretrain`: a backbone is trained on shards by a paradigm, which may learn from other networks."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.errors import ConfigError
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.modalities import require_given
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.experiment.point_counts import require_points, require_points_for_patches
from pointlab.experiment.resolve import with_datasets_of
from pointlab.experiment.roles import WANTED, notes_on, require_able, require_roles
from pointlab.experiment.teacher import FinishedTeacher, TeacherExperiment, TeacherSource
from pointlab.paradigms import ParadigmConfig, SegmentationConfig, SupervisedConfig
from pointlab.paradigms.classifying import ClassifyingConfig
from pointlab.paradigms.compatibility import require_compatible
from pointlab.training import TrainingConfig

PATCHES = ("num_groups", "group_size", "skip_near_origin")
"""What patches depend on: stage I sees those of its student."""


def pretraining_unless_told(value: Any) -> Any:
    """A parent's settings are those of a pretraining where they name no kind."""
    return {"kind": "pretrain", **value} if isinstance(value, dict) else value


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
    teacher: TeacherSource | None = None
    """The network of pictures or words that `act_autoencoder` is trained around; a `kind: teacher` is made
    first if it is missing."""
    latents: (
        Annotated[
            "PretrainExperiment | ImportExperiment",
            Field(discriminator="kind"),
            BeforeValidator(pretraining_unless_told),
        ]
        | None
    ) = None
    """The stage I whose latents `act` predicts: a pretraining by `act_autoencoder`, made first if it is
    missing, or an import of a released one."""
    image_teacher: FinishedTeacher | None = None
    """The network of pictures whose features `recon` predicts (null where `paradigm.image_weight` is 0), or
    whose maps `ppkt` compares points with. A `kind: teacher` is made first if it is missing, once for both
    fields where they are equal."""
    text_teacher: FinishedTeacher | None = None
    """The two towers whose features of texts `recon` predicts; null where `paradigm.text_weight` is 0."""
    training: TrainingConfig = TrainingConfig()
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _data_suits(self) -> "PretrainExperiment":
        require_given(self.paradigm, self.data)
        require_points(self.num_points, [self.data])
        return self

    @model_validator(mode="after")
    def _parts_go_together(self) -> "PretrainExperiment":
        require_compatible(self.paradigm, self.backbone)
        factor = self.training.optimiser.head_learning_rate_factor
        if factor != 1 and not isinstance(self.paradigm, ClassifyingConfig | SegmentationConfig):
            raise ValueError(
                f"training.optimiser.head_learning_rate_factor is {factor:g}, but paradigm"
                f" {self.paradigm.kind} has no head: leave it out, or set it in a transfer"
            )
        if self.paradigm.num_views > 1 and self.augmentation.keeps_all:
            raise ValueError(
                f"{self.paradigm.kind} compares views of a cloud, but augmentation draws nothing, so that"
                " they are equal: set augmentation.jitter, such as 0.01, and augmentation.crop, such as"
                " [0.5, 0.9]"
            )
        return self

    @model_validator(mode="after")
    def _paradigm_suits_the_backbone(self) -> "PretrainExperiment":
        """Said here, as parents are trained before the paradigm is built."""
        require_points_for_patches(self.num_points, self.augmentation, self.backbone, "backbone.")
        try:
            self.paradigm.require_fitting(self.backbone)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _learns_from_what_is_there(self) -> "PretrainExperiment":
        require_roles(self.paradigm, self._learns_from)
        if self.latents is not None:
            self._require_stage_one(self.latents)
        require_able(self._learns_from)
        return self

    @property
    def _learns_from(self) -> dict[str, Any]:
        """The networks that are named here, by the fields for them; None where one is left out."""
        return {role: getattr(self, role) for role in WANTED}

    def _require_stage_one(self, latents: "PretrainExperiment | ImportExperiment") -> None:
        """ValueError for a parent that has no latents, or none of this backbone's patches."""
        if isinstance(latents, ImportExperiment):
            if latents.layout != "act_autoencoder":
                raise ValueError(
                    f"latents is an import of the layout {latents.layout}, which is no stage I:"
                    " set latents.path to a checkpoint of ACT's autoencoder"
                )
        elif latents.paradigm.kind != "act_autoencoder":
            raise ValueError(
                f"latents is a pretraining by {latents.paradigm.kind}, which has none: set"
                " latents.paradigm.kind to act_autoencoder"
            )
        for name in PATCHES:
            mine, its = getattr(self.backbone, name), getattr(latents.architecture, name)
            if mine != its:
                place = "unstored" if isinstance(latents, ImportExperiment) else "backbone"
                raise ValueError(
                    f"backbone.{name} is {mine}, but latents.{place}.{name} is {its}: set them equal, as a"
                    " stage I sees the patches of its student"
                )

    @property
    def parents(self) -> "dict[str, PretrainExperiment | ImportExperiment | TeacherExperiment]":
        """The experiments to finish first: a stage I, teachers that are trained here."""
        made = (PretrainExperiment, ImportExperiment, TeacherExperiment)
        return {role: each for role, each in self._learns_from.items() if isinstance(each, made)}

    @property
    def notes(self) -> dict[str, str]:
        """What a reader of its figures should know of its settings."""
        notes = notes_on(self.paradigm, self._learns_from)
        if self.paradigm.num_views == 1 or not self.augmentation.keeps_shape:
            return notes
        return notes | {
            "views": "two views of a cloud differ in pose and scale alone, which makes the contrast easy:"
            " augmentation.jitter and augmentation.crop make it harder"
        }

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration."""
        return self.backbone

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with."""
        return f"pretraining/{self.paradigm.kind}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Its own, and those that its parents were trained on."""
        return with_datasets_of(self.parents, {"data": self.data})
