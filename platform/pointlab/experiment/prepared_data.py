"""A prepared set as an experiment sees it: its splits, what is asked about, its stream for training."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pointlab.backbones import Backbone
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe, evaluation_batches, view_batches
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.sample import PointBatch
from pointlab.data.subsets import few_per_class, share_of_scenes
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.paradigms import Given, Paradigm, Trainable
from pointlab.storage import Storage
from pointlab.training import TrainingData


@dataclass(frozen=True)
class Data:
    """A prepared set as an experiment sees it: clouds of `num_points` points.

    Where its classes are not those of the classifier that is asked about it, `shared` says which of them are
    asked about, and what is right.
    """

    storage: Storage
    name: str
    manifest: DatasetManifest
    num_points: int
    shared: SharedClasses | None = None

    @property
    def num_classes(self) -> int:
        """Number of class names."""
        return len(self.manifest.class_names)

    def split(self, split: str) -> CachedSplit:
        """The decoded split on this machine."""
        return open_split(self.storage, self.name, split)

    def batches(
        self,
        split: str,
        batch_size: int,
        inputs: tuple[str, ...] = (),
        rows: Int64[np.ndarray, " rows"] | None = None,
    ) -> Callable[[], Iterable[PointBatch]]:
        """A function that goes through the split, or these of its rows, once and without augmentation.

        Raises DataError where it has no cloud of a shared class.
        """
        rows = self.asked(split) if rows is None else rows
        self._require_asked(split, rows)
        return lambda: evaluation_batches(self.split(split), batch_size, self.num_points, inputs, rows=rows)

    def asked(self, split: str) -> Int64[np.ndarray, " rows"] | None:
        """Rows of the clouds of shared classes, and of those without a label; None for all clouds."""
        if self.shared is None:
            return None
        return np.flatnonzero(np.isin(self.split(split).labels, (*self.shared.asked, -1)))

    def require_asked(self, split: str) -> None:
        """Return if any cloud of the split is asked about; DataError where none is of a shared class."""
        self._require_asked(split, self.asked(split))

    def _require_asked(self, split: str, rows: Int64[np.ndarray, " rows"] | None) -> None:
        if rows is not None and not len(rows):
            raise DataError(
                f"The {split} split of {self.name} has no cloud of the shared classes.",
                expected="one at least to ask about",
                remedy="share more classes in shifted_classes, or prepare more clouds for that split",
            )

    def few_per_class(self, samples_per_class: int | None, seed: int) -> Int64[np.ndarray, " rows"] | None:
        """Rows of so many training clouds of each class; None for all."""
        if samples_per_class is None:
            return None
        return few_per_class(self.split("train"), samples_per_class, seed, self.manifest.class_names)

    def share_of_scenes(self, share: float | None, seed: int) -> Int64[np.ndarray, " rows"] | None:
        """Rows of that share of the training scenes; None for all."""
        return None if share is None else share_of_scenes(self.split("train"), share, seed)

    def class_names_of(self, paradigm: Paradigm) -> tuple[str, ...]:
        """Names of the classes that its head tells apart, if it has one."""
        return self.manifest.part_names if paradigm.names_points else self.manifest.class_names

    def given(self, subset: Int64[np.ndarray, " rows"] | None = None) -> Given:
        """What a paradigm learns of the set, or of a subset of its training split, when it is built."""
        num_rows = self.manifest.rows.get("train") if subset is None else len(subset)
        has_estimated = self.manifest.estimated_normals is not None
        num_point_classes = len(self.manifest.part_names)
        return Given(self.num_classes, num_rows, has_estimated, num_point_classes, captions=self.captions)

    @property
    def learned_from(self) -> tuple[str, ...]:
        """The splits that a training reads: all but test, as far as they are there."""
        return tuple(name for name in ("train", "validation") if self.manifest.rows.get(name))

    def require_validation(
        self, chooser: str, setting: str = "data.validation_fraction", otherwise: str = ""
    ) -> None:
        """ConfigError where there is no validation split for `chooser` to choose on."""
        if not self.manifest.rows.get("validation"):
            raise ConfigError(
                f"{chooser} chooses on validation data, and {self.name} has no validation split.",
                expected="clouds to choose on that are neither trained nor tested on",
                remedy=f"set {setting} above 0{otherwise}",
            )

    def captions(self) -> dict[int, str]:
        """What is said of the clouds of training and validation, by hash."""
        splits = [self.split(name) for name in self.learned_from]
        return {identity: text for split in splits for identity, text in split.caption_texts.items()}

    def for_training(
        self,
        seed: int,
        augmentation: AugmentationConfig,
        batch_size: int,
        paradigm: Trainable,
        subset: Int64[np.ndarray, " rows"] | None = None,
    ) -> TrainingData:
        """The training split, or a subset of it, as a stream; and validation, as stored unless in views.

        Raises ConfigError where what is left out may leave fewer points than the paradigm's backbone takes.
        """
        recipe = self._recipe(seed, augmentation, paradigm, subset)
        if not self.manifest.rows.get("train"):
            raise DataError(f"{self.name} has no train split.", remedy="train on a set that has one")
        if "pixels" in recipe.inputs:  # once, and before the loop waits for a first batch
            for name in self.learned_from:
                self.split(name).require_pixels()

        def validation(rank: int, world_size: int) -> Iterator[PointBatch]:
            split = self.split("validation")
            if recipe.num_views > 1:
                return view_batches(split, batch_size, recipe, rank=rank, world_size=world_size)
            shown = self.num_points, recipe.inputs, recipe.pictures
            return evaluation_batches(split, batch_size, *shown, rank=rank, world_size=world_size)

        return TrainingData(
            dataset=self.name,
            num_rows=self.manifest.rows["train"] if subset is None else len(subset),
            recipe=recipe,
            validation=validation if self.manifest.rows.get("validation") else None,
        )

    def _recipe(
        self,
        seed: int,
        augmentation: AugmentationConfig,
        paradigm: Trainable,
        subset: Int64[np.ndarray, " rows"] | None,
    ) -> Recipe:
        """How the paradigm's clouds are drawn; ConfigError where they may have too few points for it."""
        min_points = 1
        if isinstance(paradigm, Paradigm):
            min_points = paradigm.backbone.min_points
            require_shown(self.num_points, augmentation, paradigm.backbone)
        return Recipe(
            seed,
            self.num_points,
            augmentation,
            inputs_of(paradigm),
            paradigm.num_views,
            subset,
            paradigm.picture_crop,
            min_points=min_points,
        )


def inputs_of(paradigm: Trainable) -> tuple[str, ...]:
    """Optional arrays of a batch that the paradigm or its backbone reads, each once."""
    of_backbone = paradigm.backbone.inputs if isinstance(paradigm, Paradigm) else ()
    return tuple(dict.fromkeys((*paradigm.inputs, *of_backbone)))


def require_shown(num_points: int, augmentation: AugmentationConfig, backbone: Backbone) -> None:
    """Refuse to leave out parts where fewer points than `backbone` takes may remain: it would end a run at
    some step."""
    fewest = math.ceil(num_points * augmentation.least_share)
    if augmentation.leaving_out and fewest < backbone.min_points:
        raise ConfigError(
            f"{augmentation.leaving_out}, which leaves as few as {fewest} of {num_points} points.",
            expected=f"at least {backbone.min_points} points for this {type(backbone).__name__}",
            remedy="raise num_points or the lower share of augmentation.crop, leave out"
            " augmentation.cuboid_drop, or configure a backbone that takes fewer",
        )


def open_data(storage: Storage, name: str, num_points: int) -> Data:
    """The prepared set, its clouds to be cut to `num_points`."""
    return Data(storage, name, read_dataset(storage, name), num_points)
