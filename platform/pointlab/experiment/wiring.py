"""How experiments put the parts together: data, seeded weights, stored models."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe, evaluation_batches, view_batches
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.sample import PointBatch
from pointlab.data.subsets import few_per_class, share_of_scenes
from pointlab.errors import ConfigError, DataError, StorageError
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.paradigms import Given, Paradigm, Trainable
from pointlab.seeding import stable_integer
from pointlab.storage import Manifest, Storage, publish, read_manifest
from pointlab.storage.artifact import read_verified
from pointlab.storage.files import sha256
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


@contextlib.contextmanager
def seeded(*key: int | str) -> Iterator[None]:
    """Draw new weights from a generator of this key, leaving torch's own as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_integer(*key))
        yield


def publish_model(
    storage: Storage,
    run: str,
    modules: Mapping[str, nn.Module],
    backbone: BackboneConfig,
    class_names: tuple[str, ...],
    *,
    needs: Mapping[str, Any] | None = None,
) -> None:
    """Store modules at `runs/<run>/model`, one safetensors file each; the first worker does it.

    `needs` are entries of the manifest's details on what the modules cannot be used without.
    An earlier attempt that died after this may have left the same model, which then stays.
    """
    if distributed.rank() > 0:
        return
    path = f"runs/{run}/model"
    contents = {f"{name}.safetensors": save_safetensors(_cpu_state(m)) for name, m in modules.items()}
    details = {
        "backbone": backbone.model_dump(mode="json"),
        "class_names": list(class_names),
        **(needs or {}),
    }
    publish_once(storage, path, "model", contents, details, decisive=tuple(contents))


def publish_once(
    storage: Storage,
    path: str,
    kind: str,
    contents: Mapping[str, bytes],
    details: Mapping[str, Any],
    *,
    decisive: tuple[str, ...],
) -> None:
    """Store `contents` as an artifact of this kind, unless an earlier attempt that died later left it there.

    Raises StorageError where that one's `decisive` files, the weights, are others.
    """
    existing = read_manifest(storage, path)
    if existing is None:
        publish(storage, path, kind, contents, details)
    elif any(
        name not in existing.files or existing.files[name].sha256 != sha256(contents[name])
        for name in decisive
    ):
        raise StorageError(
            f"{storage.locate(path)} holds other weights than this run just computed.",
            expected="equal weights from equal settings",
            remedy=f"find out why (another machine or torch?), delete {storage.locate(path)} and run again",
        )


def model_manifest(storage: Storage, run: str) -> Manifest:
    """What the stored model of a finished run consists of; StorageError where it has none."""
    manifest = read_manifest(storage, f"runs/{run}/model")
    if manifest is None:
        raise StorageError(f"The run {run} has no stored model.", remedy="run its config to the end first")
    return manifest


def read_module(storage: Storage, run: str, name: str) -> dict[str, Tensor]:
    """Weights of one stored module of a finished run, verified."""
    manifest = model_manifest(storage, run)
    content = read_verified(storage, f"runs/{run}/model", f"{name}.safetensors", manifest, f"runs/{run}")
    return load_safetensors(content)


def read_modules(storage: Storage, run: str) -> dict[str, Mapping[str, Tensor]]:
    """Weights of all stored modules of a finished run by name, verified."""
    names = [Path(name) for name in model_manifest(storage, run).files]
    return {
        name.stem: read_module(storage, run, name.stem) for name in names if name.suffix == ".safetensors"
    }


def seeded_backbone(config: BackboneConfig, seed: int) -> Backbone:
    """A new backbone whose weights depend on `seed` alone."""
    with seeded(seed, "backbone"):
        return build_backbone(config)


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
