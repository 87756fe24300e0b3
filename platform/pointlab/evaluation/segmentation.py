"""Figures of a segmentation on a split: every stored point of every scene is named, and counted once.

Stored points are what preparation kept: with `data.voxel_size` one of each cell, so that figures may differ a
little from those on the points of the release.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.data.batches import to_batch
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import Arrays, PointBatch
from pointlab.errors import DataError
from pointlab.evaluation.parts import ShapeIous
from pointlab.evaluation.scene_views import SceneView, SceneViewConfig, views_of
from pointlab.objectives.confusion import ClassCounts


@dataclass(frozen=True)
class Segmenter:
    """A backbone with a head on the features of points, and the classes that the head tells apart."""

    backbone: Backbone
    head: nn.Module
    class_names: tuple[str, ...]

    def probabilities(self, batch: PointBatch) -> Float[Tensor, "batch points classes"]:
        """Of every class at every point of the batch; padded rows hold anything."""
        scores: Tensor = self.head(self.backbone.point_features(batch).values.flatten(0, 1))
        probabilities: Tensor = scores.float().softmax(1).unflatten(0, batch.points.shape[:2])
        return probabilities


@dataclass(frozen=True)
class Viewing:
    """How scenes are shown to a network: in which views, of how many points, how many views at a time."""

    views: SceneViewConfig
    num_points: int
    batch_size: int


@torch.no_grad()
def scene_probabilities(
    segmenter: Segmenter, split: CachedSplit, row: int, viewing: Viewing, device: torch.device
) -> Float[Tensor, "points classes"]:
    """The mean over all views that speak for a point of what each says of it, on the CPU; in eval mode."""
    backbone, head = segmenter.backbone.to(device), segmenter.head.to(device)
    backbone.eval()
    head.eval()
    arrays = split.arrays(row, ("points", *backbone.inputs))
    views = list(views_of(arrays["points"], viewing.views, viewing.num_points, backbone.min_points))
    total = torch.zeros(len(arrays["points"]), len(segmenter.class_names))
    num_views = torch.zeros(len(total), 1)
    for first in range(0, len(views), viewing.batch_size):
        together = views[first : first + viewing.batch_size]
        batch = _batch_of(arrays, together, int(split.ids[row]))
        for view, said in zip(together, segmenter.probabilities(batch.to(device)).cpu(), strict=True):
            own = torch.from_numpy(view.rows[: view.num_own])
            total.index_add_(0, own, said[: view.num_own])
            num_views.index_add_(0, own, torch.ones(len(own), 1))
    return total / num_views


def _batch_of(arrays: Arrays, views: Sequence[SceneView], identity: int) -> PointBatch:
    """The views as a batch; rows past the points of a view are zero."""
    counts = np.array([len(view.rows) for view in views])
    shown: Arrays = {"counts": counts, "ids": np.full(len(views), identity)}
    for name, values in arrays.items():
        shown[name] = np.zeros((len(views), counts.max(), *values.shape[1:]), values.dtype)
        for place, view in enumerate(views):
            shown[name][place, : counts[place]] = values[view.rows]
    return to_batch(shown)


def measure_scenes(
    segmenter: Segmenter,
    split: CachedSplit,
    viewing: Viewing,
    device: torch.device,
    *,
    shapes: ShapeIous | None = None,
) -> ClassCounts:
    """Counts over all points of all scenes of the split; DataError where none of them has a label.

    Where `shapes` are given, the scenes are objects, and each is counted in there by its category.
    """
    require_labelled(split)
    found = ClassCounts.none(len(segmenter.class_names))
    for row in range(len(split)):
        labels = torch.from_numpy(split.arrays(row, ("point_labels",))["point_labels"].astype(np.int64))
        probabilities = scene_probabilities(segmenter, split, row, viewing, device)
        found += ClassCounts.of(probabilities, labels)
        if shapes is not None:
            shapes.add(int(split.labels[row]), probabilities, labels)
    return found


def require_labelled(split: CachedSplit) -> None:
    """Return if some point of the split has a label; DataError where figures would be of nothing."""
    if not any(
        (split.arrays(row, ("point_labels",))["point_labels"] >= 0).any() for row in range(len(split))
    ):
        raise DataError(
            f"No point of {split.folder.parent.name}'s split {split.folder.name} has a label.",
            expected="labels, by which a segmentation is measured",
            remedy="set test to false, as for a set whose test labels are held back, or choose another set",
        )


def segmentation_metrics(counts: ClassCounts, class_names: Sequence[str]) -> dict[str, float]:
    """`miou`, `mean_class_accuracy`, `accuracy`, and `iou/<class>` of every class among the labels.

    The mean is over these classes: one that no point of the split is labelled as has no union that counts.
    """
    by_class = {
        f"iou/{name}": float(iou)
        for name, iou in zip(class_names, counts.iou, strict=True)
        if not bool(iou.isnan())
    }
    return counts.figures() | by_class
