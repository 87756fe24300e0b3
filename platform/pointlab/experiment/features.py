"""What a pretraining learns of pictures and texts: a teacher's features in tables, or the teacher itself.

Like other networks that are learned from, they are in no checkpoint and no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch

from pointlab.data.cache import CachedSplit
from pointlab.errors import ConfigError, DataError
from pointlab.experiment.modalities import Modality, needed_by, no_cloud_has
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.providers import teacher_folder
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.set_pictures import decoded, numbers_of_all
from pointlab.experiment.stored_models import seeded
from pointlab.objectives.targets import PictureFeatures, Targets, TextFeatures, VariedPictures
from pointlab.objectives.templates import in_words, sentences_on
from pointlab.paradigms import ReconParadigmConfig
from pointlab.storage import Storage
from pointlab.teachers import ImageTeacher, cached_image_features, cached_text_features

MOST_SENTENCES = 1 << 20
"""Of a table of texts: two gigabytes at 512 channels, as CLIP has."""
Watch = Callable[[str, int, int], None]
"""Hears of what features are computed, and how many of how many there are."""


def unwatched(what: str, done: int, total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Making:
    """What features are made with."""

    paradigm: ReconParadigmConfig
    data: Data
    device: torch.device
    watch: Watch

    @property
    def splits(self) -> list[CachedSplit]:
        """Training and validation."""
        return [self.data.split(name) for name in self.data.learned_from]


def build_features(
    resolved: Resolved[PretrainExperiment],
    storage: Storage,
    data: Data,
    device: torch.device,
    watch: Watch = unwatched,
) -> dict[str, Targets]:
    """By role, what each teacher says: of texts, and of pictures.

    What a table holds is computed now, on `device`, unless this machine has it. Raises DataError where no
    cloud has what the table is of, or where there are too many texts.
    """
    paradigm = resolved.experiment.paradigm
    if not isinstance(paradigm, ReconParadigmConfig):
        return {}
    making = Making(paradigm, data, device, watch)
    _require_any(needed_by(paradigm), making)
    found: dict[str, Targets] = {}
    with seeded("teacher"):  # what is drawn before weights are read leaves torch's generator where it was
        if paradigm.text_weight > 0:  # before the pictures: seconds before minutes
            found["text_teacher"] = _of_texts(teacher_folder(resolved, "text_teacher", storage), making)
        if paradigm.image_weight > 0:
            found["image_teacher"] = _of_pictures(teacher_folder(resolved, "image_teacher", storage), making)
    return found


def _require_any(needed: Mapping[Modality, str], making: Making) -> None:
    """DataError where no cloud has what is learned of; a whole split may lack it."""
    has_any: dict[Modality, bool] = {
        "picture": any(split.num_pictures for split in making.splits),
        "caption": any(split.caption_texts for split in making.splits),
        "label": any(bool((split.labels >= 0).any()) for split in making.splits),
    }
    for modality, remedy in needed.items():
        if not has_any[modality]:
            raise no_cloud_has(modality, making.data.name, remedy)


def _of_texts(folder: Path, making: Making) -> TextFeatures:
    """Of all sentences on all captions of training and validation, or on all names of classes."""
    paradigm, data = making.paradigm, making.data
    if paradigm.text == "captions":
        texts = dict(sorted(data.captions().items()))
    else:
        texts = {label: in_words(name) for label, name in enumerate(data.manifest.class_names)}
    sentences = [sentences_on(text, paradigm.templates) for text in texts.values()]
    every = list(chain.from_iterable(sentences))
    if len(every) > MOST_SENTENCES:
        raise DataError(
            f"{data.name} has {len(texts)} {paradigm.text.replace('_', ' ')}, which the templates"
            f" {paradigm.templates} make {len(every)} sentences of.",
            expected=f"at most {MOST_SENTENCES}, so that their features fit into memory",
            remedy="set paradigm.templates to plain, or paradigm.text to class_names",
        )
    features = cached_text_features(folder, every, making.device, watch=partial(making.watch, "texts"))
    return TextFeatures(paradigm.text_key, list(texts), features.unflatten(0, (len(texts), -1)))


def _of_pictures(folder: Path, making: Making) -> Targets:
    """Of the pictures of training and validation, in the order of their numbers in batches."""
    splits, augmentation = making.splits, making.paradigm.image_augmentation
    numbers = numbers_of_all(splits)
    if augmentation is not None:
        size = min(decoded(splits, numbers[:1]).shape[1:3])
        if augmentation.shift >= size:
            raise ConfigError(
                f"paradigm.image_augmentation.shift is {augmentation.shift}, and the pictures of"
                f" {making.data.name} have {size} pixels.",
                expected="a small share of them",
                remedy=f"set it to {size // 16}, say",
            )
        return VariedPictures(ImageTeacher(folder), augmentation)
    shown, watch = partial(decoded, splits), partial(making.watch, "pictures")
    key, device = making.data.name, making.device
    return PictureFeatures(cached_image_features(folder, numbers, shown, key, device, watch=watch))
