"""`kind: transfer`: a pretrained backbone meets a target, and perhaps a shifted version of it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pointlab.backbones import BackboneConfig
from pointlab.config import ADDED_LATER, StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.evaluation import SceneViewConfig
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.experiment.point_counts import require_points, require_points_for_patches
from pointlab.experiment.pretrain import PretrainExperiment, pretraining_unless_told
from pointlab.experiment.resolve import with_datasets_of
from pointlab.experiment.tasks import (
    Protocol,
    Task,
    figures_of_segmentation,
    require_few_clouds,
    require_own_settings,
    require_segmentable,
    unread_by,
)
from pointlab.experiment.taught import require_taught
from pointlab.experiment.teacher import FinishedTeacher, TeacherExperiment
from pointlab.paradigms import SegmentationConfig, SupervisedConfig
from pointlab.training import TrainingConfig
from pointlab.transfer import MixtureConfig, ProbeConfig, SvmConfig, ZeroShotConfig


def _of_the_best_step(value: Any) -> Any:
    return {"selection": "best", **value} if isinstance(value, dict) else value


BestByDefault = Annotated[TrainingConfig, BeforeValidator(_of_the_best_step)]
"""Training that keeps its best step unless it says otherwise, also where only other settings are given."""


Pretrained = Annotated[
    PretrainExperiment | ImportExperiment,
    Field(discriminator="kind"),
    BeforeValidator(pretraining_unless_told),
]
"""Where a backbone comes from: it is trained here, or a paper has released it."""
OR_TAKE_LAST = ", or training.selection to last"
"""How training does without validation: the end of a remedy."""
OR_SET_RATIO = ", or zero_shot.ratio to a number"
"""How zero-shot does without validation: the end of a remedy."""


class TransferExperiment(StrictModel):
    """One pretrained backbone (or a random one), one target, one protocol, one seed."""

    kind: Literal["transfer"] = "transfer"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    pretrained: Pretrained | None = None
    """The experiment whose backbone is transferred, or a checkpoint to import (`kind: import`); null starts
    from random weights."""
    backbone: BackboneConfig | None = None
    """The architecture, where nothing is pretrained."""
    data: DatasetConfig
    """The target."""
    shifted: DatasetConfig | None = None
    """The same classes under a shift; measured, and never trained on."""
    num_points: int = Field(default=1024, ge=1)
    samples_per_class: int | None = Field(default=None, ge=1)
    """Labelled training clouds of each class, drawn by the seed; null takes all. Validation stays whole."""
    drop_path_rate: float | None = Field(default=None, ge=0, lt=1, json_schema_extra=ADDED_LATER)
    """Of the backbone while it is fine-tuned; null: as it was pretrained. ReCon's paper raises it to 0.2."""
    num_groups: int | None = Field(default=None, ge=1, json_schema_extra=ADDED_LATER)
    """Patches of a cloud, on which no weight depends; null: as in pretraining. The papers take 128 at 2,048
    points."""
    group_size: int | None = Field(default=None, ge=1, json_schema_extra=ADDED_LATER)
    """Points of a patch; null: as in pretraining. ReCon's zero-shot takes 64 of ScanObjectNN's 2,048."""
    task: Task = Field(default="classification", json_schema_extra=ADDED_LATER)
    """What is learned of the target: a class for each cloud, or one for each of its points."""
    labelled_scenes: float | None = Field(default=None, gt=0, le=1, json_schema_extra=ADDED_LATER)
    """Share of the training scenes that a segmentation learns from, at least one, drawn by the seed; null
    takes all. Validation stays whole."""
    voxel_size: float | None = Field(default=None, gt=0, json_schema_extra=ADDED_LATER)
    """Edge of the finest cells of a sparse network; null: as in pretraining. PPKT pretrains at 2.5 cm."""
    protocol: Protocol = "full"
    """full: fine-tune all; linear_probe, linear_svm: frozen backbone, linear head, by logistic regression or
    a support vector machine; zero_shot: nothing is trained, texts name the classes; wise_ft: mix pretrained
    and fine-tuned backbones, keep the fine-tuned head; wise_ft_lp: mix, freeze, and probe again.
    A segmentation has full and linear_probe, whose head is trained by `training` on a frozen backbone."""
    augmentation: AugmentationConfig = AugmentationConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    segmentation: SegmentationConfig = SegmentationConfig()
    scene_views: SceneViewConfig = SceneViewConfig()
    """How the scenes of the test split are shown to a segmentation."""
    training: BestByDefault = TrainingConfig(selection="best")
    """On a target of few clouds the last step has often overfitted; `selection: last` needs no validation."""
    mixture: MixtureConfig = MixtureConfig()
    probe: ProbeConfig = ProbeConfig()
    svm: SvmConfig = SvmConfig()
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    text_teacher: FinishedTeacher | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """The two towers that `zero_shot` asks; null takes those of the pretraining, and an import has none."""
    test: bool = True
    """Whether the test splits are read at the end; a search's trials leave them alone."""
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> "TransferExperiment":
        if (self.pretrained is None) == (self.backbone is None):
            raise ValueError("give either pretrained (an experiment) or backbone (an architecture), not both")
        if self.shifted is None and self.mixture.selection == "shifted":
            raise ValueError("mixture.selection is 'shifted', but no shifted set is given")
        require_points(self.num_points, filter(None, [self.data, self.shifted]))
        self._require_known_changes()
        drawn = self.augmentation if self.has_epochs else AugmentationConfig()
        require_points_for_patches(self.num_points, drawn, self.architecture)
        return self

    @model_validator(mode="after")
    def _texts_can_name_classes(self) -> "TransferExperiment":
        """ValueError where zero-shot has no network that learned from texts, or is given what it does not
        read."""
        if self.protocol != "zero_shot":
            if self.text_teacher is not None:
                raise ValueError(
                    f"text_teacher is given, but protocol {self.protocol} has no use for it: leave it out, or"
                    " set protocol to zero_shot"
                )
            return self
        require_taught(self.pretrained, self.text_teacher)
        if self.samples_per_class is not None:
            raise ValueError(
                f"samples_per_class is {self.samples_per_class}, but protocol zero_shot trains on nothing:"
                " expected null; leave it out, in a study by exclude"
            )
        return self

    @model_validator(mode="after")
    def _task_fits(self) -> "TransferExperiment":
        """ValueError for a setting that the task has no use for, or a protocol that it does not have."""
        if self.segments:
            require_segmentable(self.protocol, self.samples_per_class, self.segmentation, self.architecture)
        else:
            require_few_clouds(self.labelled_scenes)
        require_own_settings(self, self.task)
        return self

    def _require_known_changes(self) -> None:
        """ValueError for a setting that this backbone has not, or that only training would read."""
        if self.drop_path_rate is not None and not self.trains:
            raise ValueError(
                f"drop_path_rate is {self.drop_path_rate}, but protocol {self.protocol} has no use for it, as"
                " it does not train the backbone: leave it out; in a study, set it in adjustments for the"
                " protocols that do"
            )
        for name, value in self._changes.items():
            if name not in type(self._as_pretrained).model_fields:
                raise ValueError(
                    f"{name} is {value}, but the backbone, a {self._as_pretrained.kind}, has no such setting:"
                    f" leave {name} out"
                )

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with: the protocol, the sentences that named classes,
        and how few labels it had."""
        texts = f"/{self.zero_shot.templates}" if self.protocol == "zero_shot" else ""
        few = "" if self.samples_per_class is None else f"/{self.samples_per_class}-per-class"
        if self.labelled_scenes is not None:
            few = f"/{100 * self.labelled_scenes:g}%-of-scenes"
        return ("segmentation/" if self.segments else "") + self.protocol + texts + few

    @property
    def without_effect(self) -> frozenset[str]:
        """What other protocols and tasks read; finished runs of theirs were named before these fields were
        there."""
        read_by = {"svm": "linear_svm", "zero_shot": "zero_shot"}
        unread = {name for name, protocol in read_by.items() if protocol != self.protocol}
        return frozenset(unread) | unread_by(self.task)

    @property
    def chooses_on(self) -> dict[str, str]:
        """Roles of the sets whose validation splits it chooses by, each with what to set to do without,
        as the end of a remedy."""
        both = dict.fromkeys(("data",) if self.shifted is None else ("data", "shifted"), "")
        match self.protocol:
            case _ if self.segments:
                return {"data": OR_TAKE_LAST} if self.training.selection == "best" else {}
            case "linear_probe" | "wise_ft" | "wise_ft_lp":
                return both
            case "linear_svm" if len(self.svm.strengths) > 1:
                return {"data": ", or svm.strengths to a single one"}
            case "zero_shot" if self.zero_shot.ratio is None and self._asks_one_space:
                return {"data": OR_SET_RATIO}
            case "full" if self.training.selection == "best":
                return {"data": OR_TAKE_LAST}
            case _:
                return {}

    @property
    def _asks_one_space(self) -> bool:
        """Whether the settings tell that pictures and texts were said by the same towers; of an import, and
        of folders that differ in their paths alone, only their files tell."""
        pretrained = self.pretrained
        if not isinstance(pretrained, PretrainExperiment) or pretrained.image_teacher is None:
            return False
        return pretrained.image_teacher == pretrained.text_teacher

    @property
    def segments(self) -> bool:
        """Whether points are classified, and not clouds."""
        return self.task == "segmentation"

    @property
    def trains(self) -> bool:
        """Whether there are epochs in which weights of the backbone change."""
        return self.protocol == "full" or self.is_mixed

    @property
    def has_epochs(self) -> bool:
        """Whether there are epochs at all, such as those of a probe on points."""
        return self.trains or self.segments

    @property
    def score(self) -> str:
        """The validation figure by which runs of this task are chosen."""
        return "validation/miou" if self.segments else "validation/accuracy"

    @property
    def is_mixed(self) -> bool:
        """Whether the classifier is a mixture of the pretrained and the fine-tuned one."""
        return self.protocol.startswith("wise_ft")

    @property
    def parents(self) -> dict[str, PretrainExperiment | ImportExperiment | TeacherExperiment]:
        """The experiments to finish first: what is transferred, a text teacher that is trained here."""
        named = {"pretrained": self.pretrained, "text_teacher": self.text_teacher}
        made = (PretrainExperiment, ImportExperiment, TeacherExperiment)
        return {role: each for role, each in named.items() if isinstance(each, made)}

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """The target, the shifted set, and all that its parents were trained on."""
        shifted = {} if self.shifted is None else {"shifted": self.shifted}
        return with_datasets_of(self.parents, {"data": self.data, **shifted})

    @property
    def accuracies(self) -> tuple[str, ...]:
        """Metrics that its record will have, as far as its sets have the splits."""
        is_shifted, is_mixed = self.shifted is not None, self.is_mixed
        if self.segments:
            return figures_of_segmentation(is_tested=self.test, has_shifted=is_shifted)
        return (
            "validation/accuracy",
            *(("test/accuracy",) if self.test else ()),
            *(("shifted-test/accuracy",) if self.test and is_shifted else ()),
            *(("target-validation/accuracy",) if is_mixed else ()),
            *(("shifted-validation/accuracy",) if is_mixed and is_shifted else ()),
        )

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration, wherever it comes from, as it is transferred."""
        return self._as_pretrained.model_copy(update=self._changes)

    @property
    def _as_pretrained(self) -> BackboneConfig:
        if self.pretrained is not None:
            return self.pretrained.architecture
        assert self.backbone is not None, "checked when the model was made"
        return self.backbone

    @property
    def _changes(self) -> dict[str, float]:
        """What the transfer sets otherwise; no weight depends on any of it."""
        names = ("drop_path_rate", "num_groups", "group_size", "voxel_size")
        changes = {name: getattr(self, name) for name in names}
        return {name: value for name, value in changes.items() if value is not None}
