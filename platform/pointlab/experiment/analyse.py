"""`kind: analyse`: backbones are looked into stage by stage, all of them on the same clouds.

After Hadgi et al., "To Supervise or Not to Supervise" (ECCV 2024), which explains by what happens in early
layers when a pretraining transfers. Which measures are theirs and which ours is told in docs/transfer.md.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from pointlab.analysis import FEWEST_SCORED, AnalysisConfig
from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.legacy_settings import PREFIX
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.point_counts import require_points
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import with_datasets_of
from pointlab.experiment.transfer import TransferExperiment

Trained = PretrainExperiment | ImportExperiment | TransferExperiment


class RandomBackbone(StrictModel):
    """A network that nobody trained: what its architecture alone knows, the level to compare with."""

    kind: Literal["random"] = "random"
    backbone: BackboneConfig
    seed: int = Field(default=0, ge=0)
    """As that of an experiment, whose first weights these then are."""


SubjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
SubjectConfig = Annotated[
    PretrainExperiment | ImportExperiment | TransferExperiment | RandomBackbone, Field(discriminator="kind")
]


class AnalyseExperiment(StrictModel):
    """Some backbones, one dataset, one set of measures."""

    kind: Literal["analyse"] = "analyse"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    """Decides which clouds are shown, and how new heads begin."""
    subjects: dict[SubjectName, SubjectConfig] = Field(min_length=1)
    """What is analysed, by its name in tables and plots; what is not trained yet is made first."""
    with_start: bool = True
    """Whether a transfer is shown beside what it started from, as <name>-before and <name>-after."""
    data: DatasetConfig | None = None
    """A labelled set; null takes that of the first transfer, else that of the first pretraining, and is
    replaced by it: whatever the order of the subjects, equal clouds make equal runs."""
    num_points: int | None = Field(default=None, ge=1)
    """Points of a cloud; null takes as many as the experiment was trained with that `data` is taken from,
    and without any trained one all that are prepared."""
    num_clouds: int = Field(default=2000, ge=8)
    """Clouds of both splits together, evenly by class; with 500 of them to score on, accuracies are sure to
    some four points. A smaller set is shown whole, and then not evenly."""
    fit_fraction: float = Field(default=0.75, gt=0, lt=1)
    """Share of the clouds that come from train and that probes are fitted on; the rest scores them."""
    split: Literal["validation", "test"] = "validation"
    """Where probes are scored; an analysis explains and chooses, so test is left for final figures."""
    heads: Literal["own", "fresh"] = "own"
    """What gradients come through: own takes the head of a classifier with the same classes, where there is
    one; fresh gives every subject a new linear one, as at the start of fine-tuning, so that they compare:
    one and the same for networks of equal num_features."""
    batch_size: int = Field(default=64, ge=2)
    """Clouds at a time; part of the result, as the gradient of a mini-batch holds sampling noise."""
    num_threads: int = Field(default=1, ge=1, json_schema_extra={"identity": False})
    """One, as in training, so that sums round alike."""
    analysis: AnalysisConfig = AnalysisConfig()
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _can_be_analysed(self) -> "AnalyseExperiment":
        if self.launch.kind != "local":
            raise ValueError("an analysis runs in this process: launch.kind must be 'local'")
        if self.data is None and self._reference is None:
            raise ValueError("no subject was trained here on anything: give the data to show")
        for name, subject in self.subjects.items():
            if isinstance(subject, TransferExperiment) and not subject.leaves_classifier:
                raise ValueError(f"subjects.{name} has protocol {subject.protocol}, which leaves no network")
        called = [*self.shown_names, *self._starts]
        if twice := sorted({name for name in called if called.count(name) > 1}):
            raise ValueError(f"two subjects would be called {', '.join(twice)}: rename one of them")
        self._settle_what_is_shown()
        require_points(self.points_shown, [self.shown])
        self._require_clouds()
        return self

    def _settle_what_is_shown(self) -> None:
        """Write the clouds that null stands for into the model: its identity does not see an order."""
        data = self.shown
        num_points = self.num_points or (self._reference or data).num_points
        self.__dict__.update(data=data, num_points=num_points)  # the model is frozen once it is made

    def _require_clouds(self) -> None:
        """ValueError where even the largest set would be shown too few clouds for the measures."""
        num_fit, num_score = self.num_fit, self.num_clouds - self.num_fit
        if self.analysis.scores and num_score < FEWEST_SCORED:
            raise ValueError(
                f"{self.num_clouds} num_clouds leave {num_score} to score on, and {FEWEST_SCORED} are needed:"
                " lower fit_fraction or raise num_clouds"
            )
        fewest = self.fewest_fit
        if num_fit < fewest:
            raise ValueError(
                f"{self.num_clouds} num_clouds leave {num_fit} to fit on, and {fewest} are needed: raise"
                " fit_fraction or num_clouds, or lower analysis.num_neighbours"
            )

    @property
    def num_fit(self) -> int:
        """Clouds of train that are shown, where it has as many."""
        return round(self.fit_fraction * self.num_clouds)

    @property
    def fewest_fit(self) -> int:
        """Clouds of train that the measures cannot do without."""
        has_probes = "probes" in self.analysis.measures
        return max(3, self.analysis.num_neighbours) if has_probes else int(self.analysis.learns)

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with: those that were scored on the same split."""
        is_legacy = any(
            isinstance(one, TransferExperiment) and one.is_legacy for one in self.subjects.values()
        )
        return f"{PREFIX if is_legacy else ''}analysis/{self.split}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """What is shown, and all that the subjects were trained on."""
        return with_datasets_of(self.parents, {"data": self.shown})

    @property
    def parents(self) -> dict[str, Trained]:
        """The experiments to finish first: every subject, and what a transfer among them started from."""
        trained = {
            name: subject
            for name, subject in self.subjects.items()
            if not isinstance(subject, RandomBackbone)
        }
        return {**self._starts, **trained}

    @property
    def shown_names(self) -> list[str]:
        """What the subjects are called in the record; a transfer may count for two."""
        names = []
        for name, subject in self.subjects.items():
            is_pair = self.with_start and isinstance(subject, TransferExperiment)
            names += [f"{name}-before", f"{name}-after"] if is_pair else [name]
        return names

    @property
    def shown(self) -> DatasetConfig:
        """The set whose clouds the subjects see."""
        if self.data is not None:
            return self.data
        assert self._reference is not None, "checked when the model was made"
        return self._reference.data

    @property
    def points_shown(self) -> int:
        """Points of a cloud that the subjects see."""
        assert self.num_points is not None, "settled when the model was made"
        return self.num_points

    @property
    def _starts(self) -> dict[str, Trained]:
        """What transfers among the subjects started from, where that was no random network."""
        return {
            f"{name}-pretrained": subject.pretrained
            for name, subject in self.subjects.items()
            if isinstance(subject, TransferExperiment) and subject.pretrained is not None
        }

    @property
    def _reference(self) -> PretrainExperiment | TransferExperiment | None:
        """The first transfer, else the first pretraining: where data and points come from by default."""
        trained = [
            one for one in self.subjects.values() if isinstance(one, PretrainExperiment | TransferExperiment)
        ]
        transfers = [one for one in trained if isinstance(one, TransferExperiment)]
        return next(iter([*transfers, *trained]), None)
