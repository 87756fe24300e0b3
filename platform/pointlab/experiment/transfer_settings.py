"""What a transfer is told, and what follows from it: its stamp, what it chooses by, the figures it will have.

`TransferExperiment` adds what fits together, and the experiments that it starts from.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pointlab.backbones import BackboneConfig
from pointlab.config import ADDED_LATER, StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.corruptions import CorruptionSuite
from pointlab.data.dataset import DatasetConfig
from pointlab.evaluation import SceneViewConfig
from pointlab.experiment.changes import Change
from pointlab.experiment.few_shot_settings import brings_folds
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.legacy_settings import HEADS, PREFIX, LegacyConfig
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.experiment.pretrain import PretrainExperiment, pretraining_unless_told
from pointlab.experiment.shifts import ClassMap
from pointlab.experiment.tasks import (
    LATER,
    NAMED,
    READ_WITHOUT_EPOCHS,
    Protocol,
    Task,
    figures_of_segmentation,
    unread_by,
    unread_under,
)
from pointlab.experiment.teacher import FinishedTeacher
from pointlab.paradigms import SegmentationConfig, SupervisedConfig
from pointlab.training import TrainingConfig
from pointlab.transfer import (
    FewShotConfig,
    KnnConfig,
    LinearProbeConfig,
    LpFtConfig,
    MixtureConfig,
    MlpProbeConfig,
    SoupConfig,
    SvmConfig,
    VotingConfig,
    ZeroShotConfig,
)
from pointlab.transfer.read_grid import ReadGrid


def _of_the_best_step(value: Any) -> Any:
    return {"selection": "best", **value} if isinstance(value, dict) else value


BestByDefault = Annotated[TrainingConfig, BeforeValidator(_of_the_best_step)]
"""Training that keeps its best step unless it says otherwise, also where only other settings are given."""


READ_BY_MIXTURES = ("mixture", "probe", "soup")
"""Fields that say how weights are mixed and probed, and nothing of how they were fine-tuned."""
RunName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
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


class TransferSettings(StrictModel):
    """One pretrained backbone (or a random one), one target, one protocol, one seed."""

    kind: Literal["transfer"] = "transfer"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    pretrained: "PretrainExperiment | ImportExperiment | TransferSettings | None" = None
    """The experiment whose backbone is transferred: a pretraining, a checkpoint to import (`kind: import`) or
    another transfer (`kind: transfer`); null starts from random weights."""
    backbone: BackboneConfig | None = None
    """The architecture, where nothing is pretrained."""
    data: DatasetConfig
    """The target."""
    shifted: DatasetConfig | None = None
    """The same classes under a shift, or some of them; measured, and never trained on."""
    shifted_classes: ClassMap | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Which classes the shifted set shares with the target, where not all: `{cabinet: [dresser, wardrobe]}`,
    from its own to the target's, or `by_name`. Its clouds of other classes are left out."""
    corruptions: CorruptionSuite | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Those under which the target's validation and test clouds are measured as well; none is trained on."""
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
    a support vector machine; mlp_probe, knn: frozen backbone, an MLP or a vote of the nearest training
    clouds; few_shot: a head for each of ten folds, learned from a few clouds;
    zero_shot: nothing is trained, texts name the classes; wise_ft: mix pretrained
    and fine-tuned backbones, keep the fine-tuned head; wise_ft_lp: mix, freeze, and probe again; soup:
    average several fine-tunings. What these three start from is fine-tuned first, in runs of their own.
    lp_ft: fine-tune all, from the head of a linear probe on.
    A segmentation has full and linear_probe, whose head is trained by `training` on a frozen backbone."""
    augmentation: AugmentationConfig = AugmentationConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    segmentation: SegmentationConfig = SegmentationConfig()
    scene_views: SceneViewConfig = SceneViewConfig()
    """How the scenes of the test split are shown to a segmentation."""
    training: BestByDefault = TrainingConfig(selection="best")
    """On a target of few clouds the last step has often overfitted; `selection: last` needs no validation."""
    changes: tuple[Change, ...] = Field(default=(), json_schema_extra=ADDED_LATER)
    """Settings of a fine-tuning that change at an epoch and hold from there on, such as the schedule that a
    population has found; none, as in all papers here."""
    mixture: MixtureConfig = MixtureConfig()
    fine_tuned_name: RunName | dict[str, RunName] | None = Field(
        default=None, json_schema_extra={"identity": False}
    )
    """What the fine-tuning is called that a mixture needs, such as a transfer with protocol full whose run
    then serves; null calls it by backbone and target, so that all mixtures of equal settings share one. Those
    of a soup may have a name each, by role (`ingredient-0`)."""
    fine_tuning_votes: bool = Field(default=False, json_schema_extra={"identity": False})
    """Whether that fine-tuning votes as this transfer does, which nothing here reads: true where a transfer
    with protocol full and equal `voting` is to serve."""
    probe: LinearProbeConfig = LinearProbeConfig()
    mlp_probe: MlpProbeConfig = MlpProbeConfig()
    knn: KnnConfig = KnnConfig()
    lp_ft: LpFtConfig = LpFtConfig()
    soup: SoupConfig = SoupConfig()
    svm: SvmConfig = SvmConfig()
    few_shot: FewShotConfig = FewShotConfig()
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    text_teacher: FinishedTeacher | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """The two towers that `zero_shot` asks; null takes those of the pretraining, and an import has none."""
    voting: VotingConfig | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Views of each test cloud to ask about beside the cloud itself; null: none. What a vote reaches is told
    as `test/voted_accuracy`, beside the accuracy without."""
    legacy: LegacyConfig | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Habits of released code, for comparison with papers only; null, by default: none. linear_probe and
    mlp_probe then train `supervised.head` by `training`, as that code does, and fit none."""
    test: bool = True
    """Whether the test splits are read at the end; a search's trials leave them alone."""
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with: the protocol, the sentences that named classes,
        how few labels it had, and the corruptions that it was measured under."""
        averaged = self.soup.stamp if self.protocol == "soup" else self.mixture.stamp if self.is_mixed else ""
        texts = f"/{self.zero_shot.templates}" if self.protocol == "zero_shot" else ""
        few = "" if self.samples_per_class is None else f"/{self.samples_per_class}-per-class"
        if self.labelled_scenes is not None:
            few = f"/{100 * self.labelled_scenes:g}%-of-scenes"
        folds = f"/{self.few_shot.stamp}" if self.protocol == "few_shot" else ""
        votes = f"/{self.voting.stamp}" if self.voting is not None and self.test else ""
        suite = "" if self.corruptions is None else f"/{self.corruptions.stamp}"
        habits = "" if self.legacy is None else f"/{self.legacy.stamp}"
        if self.inherited_habits:
            habits += f"/from-{'/'.join(self.inherited_habits)}"
        return (
            (PREFIX if self.is_legacy else "")
            + ("segmentation/" if self.segments else "")
            + self.protocol
            + ("" if self.grid is None else self.grid.stamp)
            + averaged
            + texts
            + folds
            + few
            + votes
            + suite
            + habits
        )

    @property
    def without_effect(self) -> frozenset[str]:
        """What other protocols and tasks read; finished runs of theirs were named before these fields were
        there."""
        named = frozenset() if self.protocol in LATER else NAMED
        fitted = frozenset({"probe", "mlp_probe"}) if self.trains_probe else frozenset()
        return (unread_under(self.protocol) - named) | fitted | unread_by(self.task)

    @property
    def unread(self) -> frozenset[str]:
        """Dotted paths of all that makes no difference to it, also where names of runs count it."""
        unread = set(unread_under(self.protocol) | unread_by(self.task))
        if self.trains_probe:
            unread |= {"probe", "mlp_probe"}
        if self.trains_probe or self.trains:
            unread -= {"supervised"} - unread_by(self.task)
        if not self.has_epochs:
            trained = TrainingConfig.model_fields.keys() - READ_WITHOUT_EPOCHS
            unread |= {"augmentation", *(f"training.{name}" for name in trained)}
        else:
            unread |= {f"training.optimiser.{name}" for name in self.training.optimiser.unread}
        if not self.test:
            unread.add("voting")
        return frozenset(unread)

    @property
    def chooses_on(self) -> dict[str, str]:
        """Roles of the sets whose validation splits it chooses by, each with what to set to do without,
        as the end of a remedy."""
        both = dict.fromkeys(("data",) if self.shifted is None else ("data", "shifted"), "")
        match self.protocol:
            case _ if self.chooses_on_test:
                return {}
            case "linear_probe" | "mlp_probe" if self.trains_probe:
                return {"data": OR_TAKE_LAST} if self.training.selection == "best" else {}
            case _ if self.segments:
                return {"data": OR_TAKE_LAST} if self.training.selection == "best" else {}
            case "lp_ft" | "mlp_probe" | "knn":
                return {"data": ""}
            case "linear_probe" | "wise_ft" | "wise_ft_lp" | "soup":
                return both
            case "linear_svm" if len(self.svm.strengths) > 1:
                return {"data": ", or svm.strengths to a single one"}
            case "zero_shot" if self.zero_shot.ratio is None and self._asks_one_space:
                return {"data": OR_SET_RATIO}
            case "few_shot" if not self.test:  # whose queries are then of validation
                return dict.fromkeys(both, ", or test to true")
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
        """Whether there are epochs in which weights of the backbone change, in its fine-tuning if not in
        itself."""
        tunes_folds = self.protocol == "few_shot" and self.few_shot.head == "full"
        moves = self.trains_probe and self.legacy is not None and self.legacy.moves_backbone
        return self.protocol in {"full", "lp_ft"} or self.averages or tunes_folds or moves

    @property
    def trains_probe(self) -> bool:
        """Whether the head of a backbone that is called frozen is trained in epochs, as by released code."""
        return self.legacy is not None and self.protocol in HEADS

    @property
    def grid(self) -> ReadGrid | None:
        """What a head that is fitted on a frozen backbone may read, and be; None of other protocols."""
        if self.segments or self.trains_probe:
            return None
        return self.grids.get(self.protocol)

    @property
    def grids(self) -> dict[str, ReadGrid]:
        """By protocol, what the heads may read that are fitted on frozen features."""
        return {"linear_probe": self.probe, "mlp_probe": self.mlp_probe, "knn": self.knn}

    @property
    def drifts(self) -> bool:
        """Whether a backbone that is called frozen stays in training mode."""
        return self.legacy is not None and self.legacy.drifting_batch_norm

    @property
    def chooses_on_test(self) -> bool:
        """Whether the test split says which epoch is kept: a habit that is asked for by name."""
        return self.legacy is not None and self.legacy.best_on_test

    @property
    def is_legacy(self) -> bool:
        """Whether it has habits of released code, or starts from a transfer that has."""
        start = self.pretrained
        return self.legacy is not None or (isinstance(start, TransferSettings) and start.is_legacy)

    @property
    def inherited_habits(self) -> tuple[str, ...]:
        """Stamps of the habits that the transfers before it have, the last of them first."""
        start = self.pretrained
        if not isinstance(start, TransferSettings):
            return ()
        own = () if start.legacy is None else (start.legacy.stamp,)
        return own + start.inherited_habits

    @property
    def leaves_classifier(self) -> bool:
        """Whether it ends with one classifier, and not with one for each fold."""
        return self.protocol != "few_shot"

    @property
    def has_released_folds(self) -> bool:
        """Whether the target brings the folds of a few-shot transfer along; else they are drawn."""
        return brings_folds(self.data)

    @property
    def asked_split(self) -> str:
        """Where the queries of a few-shot transfer are from."""
        return "test" if self.test else "validation"

    @property
    def has_epochs(self) -> bool:
        """Whether there are epochs at all, such as those of a probe on points."""
        return self.trains or self.segments or self.trains_probe

    @property
    def score(self) -> str:
        """The validation figure by which runs of this task are chosen."""
        return "validation/miou" if self.segments else "validation/accuracy"

    @property
    def is_mixed(self) -> bool:
        """Whether the classifier is a mixture of the pretrained and the fine-tuned one."""
        return self.protocol.startswith("wise_ft")

    @property
    def averages(self) -> bool:
        """Whether its weights come of finished fine-tunings and validation: it is a mixture or a soup."""
        return self.is_mixed or self.protocol == "soup"

    @property
    def accuracies(self) -> tuple[str, ...]:
        """Metrics that its record will have, as far as its sets have the splits."""
        is_shifted, is_averaged = self.shifted is not None, self.averages
        is_corrupted = self.corruptions is not None
        if self.segments:
            return figures_of_segmentation(is_tested=self.test, has_shifted=is_shifted)
        if self.protocol == "few_shot":
            asked = (self.asked_split, *((f"shifted-{self.asked_split}",) if is_shifted else ()))
            return tuple(f"{split}/{name}" for split in asked for name in ("accuracy", "accuracy_std"))
        return (
            *(() if self.chooses_on_test else ("validation/accuracy",)),
            *(("test/accuracy",) if self.test else ()),
            *(("test/voted_accuracy",) if self.test and self.voting is not None else ()),
            *(("shifted-test/accuracy",) if self.test and is_shifted else ()),
            *(("shifted-test/voted_accuracy",) if self.test and is_shifted and self.voting else ()),
            *(("target-validation/accuracy",) if is_averaged else ()),
            *(("shifted-validation/accuracy",) if is_shifted else ()),
            *(("shifted-validation/shared_accuracy",) if self.shifted_classes else ()),
            *(("shifted-test/shared_accuracy",) if self.shifted_classes and self.test else ()),
            *(("corrupted-validation/mOA",) if is_corrupted else ()),
            *(("corrupted-test/mOA",) if is_corrupted and self.test else ()),
        )

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration, wherever it comes from, as it is transferred."""
        return self._as_pretrained.model_copy(update=self._changes)

    @property
    def _as_pretrained(self) -> BackboneConfig:
        start = self.pretrained
        if isinstance(start, TransferSettings):
            return start.architecture.model_copy(update=start.pretrained_rate)
        if start is not None:
            return start.architecture
        assert self.backbone is not None, "checked when the model was made"
        return self.backbone

    @property
    def pretrained_rate(self) -> dict[str, float]:
        """The drop path of the pretraining that a chain of transfers begins with: one among them that sets
        another sets it for itself alone."""
        rate = getattr(self._as_pretrained, "drop_path_rate", None)
        return {} if rate is None else {"drop_path_rate": rate}

    @property
    def _changes(self) -> dict[str, float]:
        """What the transfer sets otherwise; no weight depends on any of it."""
        names = ("drop_path_rate", "num_groups", "group_size", "voxel_size")
        changes = {name: getattr(self, name) for name in names}
        return {name: value for name, value in changes.items() if value is not None}
