"""What a pretraining learns of pictures and texts: tables of a teacher's features, or the teacher itself.

Like other networks that are learned from, they are in no checkpoint and no model.
"""

import logging
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import nn

from pointlab.data.cache import CachedSplit
from pointlab.errors import DataError
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.providers import teacher_folder
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.wiring import Data, seeded
from pointlab.objectives.targets import CaptionFeatures, FeatureTable, PromptFeatures, TextTable
from pointlab.paradigms import ReconParadigmConfig
from pointlab.storage import Storage
from pointlab.teachers import ImageTeacher, cached_image_features, cached_text_features
from pointlab.teachers.prompts import prompts_of

logger = logging.getLogger(__name__)
WITHOUT_TEXTS = "or paradigm.text_weight and paradigm.contrast_weight to 0"


def build_features(
    resolved: Resolved[PretrainExperiment], storage: Storage, data: Data, device: torch.device
) -> dict[str, nn.Module]:
    """By role: a `FeatureTable`, or an `ImageTeacher` where pictures vary; and a `TextTable`.

    What a table holds is computed now, on `device`, unless this machine has it. Raises DataError where no
    cloud has what the table is of.
    """
    paradigm = resolved.experiment.paradigm
    if not isinstance(paradigm, ReconParadigmConfig):
        return {}
    found: dict[str, nn.Module] = {}
    with seeded("teacher"):  # what is drawn before weights are read leaves torch's generator where it was
        if paradigm.image_weight > 0:
            folder = teacher_folder(resolved, "image_teacher", storage)
            found["image_teacher"] = _of_pictures(folder, data, device, is_table=not paradigm.varies_pictures)
        if paradigm.text_weight > 0 or paradigm.contrast_weight > 0:
            _require_texts(paradigm.text, data)
        if paradigm.text_weight > 0:
            folder = teacher_folder(resolved, "text_teacher", storage)
            of_texts = _of_captions if paradigm.text == "captions" else _of_prompts
            found["text_teacher"] = of_texts(folder, data, device)
    return found


def _of_pictures(
    folder: Path, data: Data, device: torch.device, *, is_table: bool
) -> FeatureTable | ImageTeacher:
    """Of the pictures of training and validation, in the order of their numbers in batches."""
    splits = [data.split(name) for name in data.learned_from]
    if (num_pictures := sum(split.num_pictures for split in splits)) == 0:
        raise _lacking(data, "picture", "prepare it with views, or set paradigm.image_weight to 0")
    if not is_table:
        return ImageTeacher(folder)
    logger.info("%s: features of %d pictures, computed once", data.name, num_pictures)
    numbers = np.concatenate([_numbers_of(split) for split in splits])
    return FeatureTable(cached_image_features(folder, numbers, partial(_decoded, splits), data.name, device))


def _numbers_of(split: CachedSplit) -> Int64[np.ndarray, " pictures"]:
    return split.first_picture + np.arange(split.num_pictures)


def _decoded(
    splits: list[CachedSplit], numbers: Int64[np.ndarray, " pictures"]
) -> UInt8[np.ndarray, "pictures height width 3"]:
    """The pictures of these numbers, which ascend as those of the splits do."""
    of_splits = (numbers[np.isin(numbers, _numbers_of(split))] for split in splits)
    pairs = zip(splits, of_splits, strict=True)
    return np.concatenate([split.decoded(wanted) for split, wanted in pairs if len(wanted) > 0])


def _require_texts(kind: Literal["captions", "prompts"], data: Data) -> None:
    """DataError where no cloud has what it is grouped and described by; a whole split may lack it."""
    if kind == "captions" and not data.captions():
        raise _lacking(data, "caption", f"set paradigm.text to prompts, {WITHOUT_TEXTS}")
    labels = (data.split(name).labels for name in data.learned_from)
    if kind == "prompts" and not any(bool((of_split >= 0).any()) for of_split in labels):
        raise _lacking(data, "label", f"set paradigm.text to captions, {WITHOUT_TEXTS}")


def _of_prompts(folder: Path, data: Data, device: torch.device) -> TextTable:
    """Of all prompts of all classes."""
    prompts = [prompt for name in data.manifest.class_names for prompt in prompts_of(name)]
    features = cached_text_features(folder, prompts, device)
    return PromptFeatures(features.unflatten(0, (data.num_classes, -1)))


def _of_captions(folder: Path, data: Data, device: torch.device) -> TextTable:
    """Of all captions of training and validation."""
    captions = data.captions()
    hashes = sorted(captions)
    texts = [captions[identity] for identity in hashes]
    return CaptionFeatures(hashes, cached_text_features(folder, texts, device))


def _lacking(data: Data, what: str, remedy: str) -> DataError:
    return DataError(f"No cloud of {data.name} for training or validation has a {what}.", remedy=remedy)
