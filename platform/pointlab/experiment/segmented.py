"""What a segmentation leaves to be looked at: one test scene with the truth and what it was taken for."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from pointlab.data.cache import CachedSplit
from pointlab.evaluation.segmentation import Segmenter, Viewing, scene_probabilities
from pointlab.experiment.shown import publish_files, read_files
from pointlab.storage import Storage

SCENE = "scene.safetensors"
MAX_POINTS = 4096
"""Points that are kept: enough to see furniture."""


@dataclass(frozen=True)
class SegmentedScene:
    """Points of a scene with the classes that they have, -1 without a label, and those they were given."""

    points: Float32[np.ndarray, "points 3"]
    labelled: Int64[np.ndarray, " points"]
    named: Int64[np.ndarray, " points"]


def publish_scene(
    storage: Storage,
    run: str,
    segmenter: Segmenter,
    split: CachedSplit,
    *,
    viewing: Viewing,
    device: torch.device,
) -> None:
    """Store the scene with the most classes among its labels: chosen by what there is to see, and not by how
    well it was done."""
    labels = [split.arrays(row, ("point_labels",))["point_labels"] for row in range(len(split))]
    row = int(np.argmax([len(np.unique(each[each >= 0])) for each in labels]))
    named = scene_probabilities(segmenter, split, row, viewing, device).argmax(1)
    arrays = {
        "points": split.arrays(row, ("points",))["points"],
        "labelled": labels[row].astype(np.int64),
        "named": named.numpy(),
    }
    kept = {name: np.ascontiguousarray(values[:MAX_POINTS]) for name, values in arrays.items()}
    publish_files(storage, run, "segmentation", {SCENE: save_safetensors(kept)})


def read_scene(storage: Storage, run: str) -> SegmentedScene:
    """What `publish_scene` stored, verified; StorageError where it is not there."""
    return SegmentedScene(**load_safetensors(read_files(storage, run)[SCENE]))
