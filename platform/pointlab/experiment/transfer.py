"""`kind: transfer`: a pretrained backbone meets a target, and perhaps a shifted version of it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig, require_points
from pointlab.experiment.pretrain import PretrainExperiment, pretraining_unless_told
from pointlab.experiment.resolve import datasets_of_parent
from pointlab.paradigms.supervised import SupervisedConfig
from pointlab.training import TrainingConfig
from pointlab.transfer import MixtureConfig, ProbeConfig

Protocol = Literal["full", "linear_probe", "wise_ft", "wise_ft_lp"]


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
    protocol: Protocol = "full"
    """full: fine-tune all; linear_probe: frozen backbone, linear head; wise_ft: mix pretrained and
    fine-tuned backbones, keep the fine-tuned head; wise_ft_lp: mix, freeze, and probe again."""
    augmentation: AugmentationConfig = AugmentationConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    training: BestByDefault = TrainingConfig(selection="best")
    """On a target of few clouds the last step has often overfitted; `selection: last` needs no validation."""
    mixture: MixtureConfig = MixtureConfig()
    probe: ProbeConfig = ProbeConfig()
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
        return self

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with: the protocol, and how few labels it had."""
        few = "" if self.samples_per_class is None else f"/{self.samples_per_class}-per-class"
        return self.protocol + few

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """The target, the shifted set, and all that was pretrained on."""
        found = {"data": self.data}
        if self.shifted is not None:
            found["shifted"] = self.shifted
        if self.pretrained is not None:
            found |= datasets_of_parent("pretrained", self.pretrained)
        return found

    @property
    def accuracies(self) -> tuple[str, ...]:
        """Metrics that its record will have, as far as its sets have the splits."""
        is_shifted, is_mixed = self.shifted is not None, self.protocol.startswith("wise_ft")
        return (
            "validation/accuracy",
            *(("test/accuracy",) if self.test else ()),
            *(("shifted-test/accuracy",) if self.test and is_shifted else ()),
            *(("target-validation/accuracy",) if is_mixed else ()),
            *(("shifted-validation/accuracy",) if is_mixed and is_shifted else ()),
        )

    @property
    def architecture(self) -> BackboneConfig:
        """The backbone's configuration, wherever it comes from."""
        if self.pretrained is not None:
            return self.pretrained.architecture
        assert self.backbone is not None, "checked when the model was made"
        return self.backbone
