"""`kind: match`: pixels of held-out frames look for their points, and points for their pixels, by what PPKT
learned.

Each picture's map and each point meet in the space of the two projections. Nothing is trained or chosen.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.modalities import remedy_for_pixels
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.point_counts import require_points, require_points_for_patches
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import with_datasets_of
from pointlab.paradigms import PpktConfig

Radii = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class MatchExperiment(StrictModel):
    """One finished PPKT, one set of clouds with pictures by known cameras."""

    kind: Literal["match"] = "match"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    pretrained: PretrainExperiment
    """A pretraining by `ppkt`, made first if it is missing."""
    data: DatasetConfig | None = None
    """Whose frames are shown; null: those of the set that was pretrained on, of a split that was not."""
    num_points: int | None = Field(default=None, ge=1)
    """Points of a cloud; null takes as many as the pretraining."""
    split: Literal["validation", "test"] = "test"
    """test is for final figures; what is to be chosen by them is measured on validation."""
    num_frames: int = Field(default=64, ge=1)
    """Clouds, each with its first picture, evenly over the split: enough for an interval of some percent."""
    num_pairs: int = Field(default=256, ge=2)
    """Pairs of a point and its pixel that are drawn of a frame and asked both ways, all where it has fewer;
    recalls are among them."""
    radii: Radii = (0.1, 0.25)
    """How near a found point counts as near, in units of the set: a hand's breadth, and the reach of one
    object, in metres."""
    pixel_radii: Radii = (8.0, 16.0)
    """The same for pixels, in those that the teacher sees: half a cell of a usual map, and a whole one."""
    frames_shown: int = Field(default=6, ge=1, le=12)
    """Frames whose pixels can be clicked on the page, evenly from the best to the worst: the best alone would
    flatter. Each takes about half a megabyte."""
    batch_size: int = Field(default=8, ge=1, json_schema_extra={"identity": False})
    """Frames at a time; maps of large pictures fill a small machine soon."""
    num_threads: int = Field(default=1, ge=1, json_schema_extra={"identity": False})
    """One, as in training, so that sums round alike."""
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _can_be_matched(self) -> "MatchExperiment":
        if self.launch.kind != "local":
            raise ValueError("a matching runs in this process: launch.kind must be 'local'")
        paradigm = self.pretrained.paradigm
        if not isinstance(paradigm, PpktConfig):
            raise ValueError(
                f"pretrained is a pretraining by {paradigm.kind}, which learns nothing of pixels: set"
                " pretrained.paradigm.kind to ppkt"
            )
        if (remedy := remedy_for_pixels(self.shown)) is not None:
            raise ValueError(f"no picture of {self.shown.name} is by a known camera: {remedy}")
        require_points(self.points_shown, [self.shown])
        require_points_for_patches(self.points_shown, AugmentationConfig(), self.pretrained.architecture)
        return self

    @property
    def paradigm(self) -> PpktConfig:
        """The settings by which it learned."""
        assert isinstance(self.pretrained.paradigm, PpktConfig), "checked when the model was made"
        return self.pretrained.paradigm

    @property
    def shown(self) -> DatasetConfig:
        """The set whose frames are looked at."""
        return self.data or self.pretrained.data

    @property
    def seed(self) -> int:
        """That of the pretraining: the pairs of a frame are the same for all."""
        return self.pretrained.seed

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with."""
        return f"matching/{self.split}"

    @property
    def parents(self) -> dict[str, PretrainExperiment]:
        """The experiment to finish first."""
        return {"pretrained": self.pretrained}

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """What is looked at, and all that its parents were trained on."""
        return with_datasets_of(self.parents, {"data": self.shown})

    @property
    def points_shown(self) -> int:
        """Points of a cloud that the network sees."""
        return self.num_points or self.pretrained.num_points
