"""`kind: evaluate`: a finished classifier is measured on clean and on corrupted clouds.

The corrupted ones are generated batch by batch, or those of a released set. Either way a record holds the
figures of one suite, and the suite's hash beside them. Nothing is chosen here.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel
from pointlab.data.corruptions import CorruptionSuite
from pointlab.data.dataset import DatasetConfig
from pointlab.evaluation.baselines import Baseline, published_with
from pointlab.evaluation.robustness import Rounding
from pointlab.experiment.classifier import head_of
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.legacy_settings import PREFIX
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.point_counts import require_points
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import with_datasets_of
from pointlab.experiment.suitability import require_suitable
from pointlab.experiment.transfer import TransferExperiment


class EvaluateExperiment(StrictModel):
    """One finished classifier, one dataset, one suite of corruptions."""

    kind: Literal["evaluate"] = "evaluate"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    classifier: Annotated[
        PretrainExperiment | ImportExperiment | TransferExperiment, Field(discriminator="kind")
    ]
    """The experiment that trained it, made first if it is missing: a transfer, or pretraining on labels; or
    the import of a released one."""
    data: DatasetConfig | None = None
    """A set with the same classes; null takes the one that the classifier was trained on."""
    num_points: int | None = Field(default=None, ge=1)
    """Points of a clean cloud, before it is corrupted; null takes as many as the classifier was trained with.
    Clouds of a released set are always shown whole."""
    split: Literal["validation", "test"] = "test"
    """test is for final figures; what is to be chosen by them is measured on validation."""
    suite: CorruptionSuite
    baseline: Baseline | None = None
    """What corruption errors are divided by; null takes the published DGCNN for all severities of modelnet_c,
    and divides by nothing for modelnet40_c, whose figure is the plain error."""
    rounding: Rounding = "none"
    """paper rounds to 3 decimals in between, as ModelNet-C's released evaluation does."""
    batch_size: int = Field(default=32, ge=1, json_schema_extra={"identity": False})
    """Clouds at a time; the papers' batch of training is small enough for any machine."""
    num_threads: int = Field(default=1, ge=1, json_schema_extra={"identity": False})
    """One, as in training, so that sums round alike."""
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _can_be_measured(self) -> "EvaluateExperiment":
        if self.launch.kind != "local":
            raise ValueError("an evaluation runs in this process: launch.kind must be 'local'")
        head_of(self.classifier)
        if read := self.classifier.architecture.inputs:
            raise ValueError(f"corrupted clouds have no {' and no '.join(read)}, which the classifier reads")
        if isinstance(self.classifier, ImportExperiment):
            self._require_own_data()
        if self.divisor is not None:
            self.divisor.require(self.suite.chosen)
        if self.suite.origin == "generated":
            require_points(self.points_shown, [self.measured])
        elif self.num_points is not None:
            raise ValueError("clouds of a released set are shown whole: leave num_points out")
        require_suitable(self.measured, self.suite, self.points_shown)
        return self

    def _require_own_data(self) -> None:
        """What an imported classifier was trained on is not known: nothing can be taken from there."""
        if self.data is None or (self.suite.origin == "generated" and self.num_points is None):
            raise ValueError(
                "what an imported classifier was trained on is not known: give data, and num_points where"
                " corruptions are generated"
            )

    @property
    def seed(self) -> int:
        """That of the classifier: an evaluation draws nothing that the suite's seed does not decide."""
        return self.classifier.seed

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with: those under the same part and draw of a suite."""
        is_legacy = isinstance(self.classifier, TransferExperiment) and self.classifier.is_legacy
        suite = f"{self.suite.name}/{self.suite.origin}{self.suite.choice}"
        return f"{PREFIX if is_legacy else ''}corruptions/{suite}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """What is measured on, and all that the classifier was trained on."""
        return with_datasets_of({"classifier": self.classifier}, {"data": self.measured})

    @property
    def measured(self) -> DatasetConfig:
        """The set whose clouds are shown to the classifier."""
        if self.data is not None:
            return self.data
        assert not isinstance(self.classifier, ImportExperiment), "checked when the model was made"
        return self.classifier.data

    @property
    def points_shown(self) -> int:
        """The most points that a clean cloud is shown with."""
        if self.suite.origin == "official":
            return self.measured.num_points
        if self.num_points is not None:
            return self.num_points
        assert not isinstance(self.classifier, ImportExperiment), "checked when the model was made"
        return self.classifier.num_points

    @property
    def divisor(self) -> Baseline | None:
        """The baseline that corruption errors are divided by, if any."""
        return self.baseline or published_with(self.suite.name, self.suite.severities)
