"""`kind: teacher`: a small network of pictures, or of pictures and words, is trained on rendered views.

And the other places that a teacher may come from: a folder of `transformers`, or nowhere (random weights).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pointlab.config import StrictModel
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.modalities import remedy_for_captions, remedy_for_pictures
from pointlab.experiment.placement import LaunchConfig, RayByDefault, StorageConfig
from pointlab.teachers import NetworkConfig, PictureAugmentation
from pointlab.training import TrainingConfig


class TeacherExperiment(StrictModel):
    """One network, one set with pictures, one seed."""

    kind: Literal["teacher"] = "teacher"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    data: DatasetConfig
    """A set whose clouds bring pictures, and captions where the network reads."""
    network: NetworkConfig
    augmentation: PictureAugmentation = PictureAugmentation()
    training: TrainingConfig = TrainingConfig()
    launch: RayByDefault = LaunchConfig(kind="ray")
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _can_be_trained(self) -> "TeacherExperiment":
        """What would else be noticed by workers, after a set was prepared, or never."""
        if self.training.optimiser.layer_decay != 1:
            raise ValueError(
                "training.optimiser.layer_decay is for the stages of a backbone, and a teacher has none:"
                " leave it out"
            )
        if (remedy := remedy_for_pictures(self.data)) is not None:
            raise ValueError(f"a teacher learns from pictures, and {self.data.name} has none: {remedy}")
        if self.network.kind == "clip" and (remedy := remedy_for_captions(self.data)) is not None:
            raise ValueError(f"two towers learn from captions, and {self.data.name} has none: {remedy}")
        return self

    @property
    def stamp(self) -> str:
        """What a table may compare its figures with."""
        return f"teacher/{self.network.kind}"

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Its one dataset."""
        return {"data": self.data}


class TeacherFolder(StrictModel):
    """A network that somebody else trained: a local folder of `transformers`, or a name on its hub."""

    kind: Literal["folder"] = "folder"
    path: str = Field(json_schema_extra={"identity": False})
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of its weights: names mean different weights over the years, so that a teacher goes by its hash."""

    @model_validator(mode="before")
    @classmethod
    def _names_its_weights(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and "sha256" not in settings and "path" in settings:
            raise ValueError(
                "sha256 is missing, which says the weights that are meant: it is what `sha256sum"
                f" {settings['path']}/model.safetensors` prints"
            )
        return settings

    @field_validator("path")
    @classmethod
    def _is_found_from_anywhere(cls, path: str) -> str:
        """A folder that is there becomes absolute: workers have other working directories."""
        folder = Path(path).expanduser()
        return str(folder.absolute()) if folder.is_dir() else path


class RandomTeacher(StrictModel):
    """The same kind of network without any training: what a teacher's weights, and not its size, are good
    for."""

    kind: Literal["random"] = "random"
    network: NetworkConfig
    seed: int = Field(default=0, ge=0)


TeacherSource = Annotated[TeacherExperiment | TeacherFolder | RandomTeacher, Field(discriminator="kind")]
FinishedTeacher = Annotated[TeacherExperiment | TeacherFolder, Field(discriminator="kind")]
"""One that has learned to say something: what random weights say of a picture teaches nothing of it."""
