"""The sample schema: one `Cloud` as a source yields it, one `PointBatch` as a network takes it.

Coordinates are float32 in a right-handed, y-up frame. Clouds have any length on disk; in memory a batch
is dense and zero-padded, and `counts` says how many rows of each cloud are real. A cloud may bring pictures
of itself along, its views.
"""

from collections.abc import Callable, Hashable
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from pointlab.geometry.cameras import Pinhole

Settings = ParamSpec("Settings")
Found = TypeVar("Found")

Arrays = dict[str, np.ndarray]
"""Arrays by name, as batches are before they become tensors: what travels between processes."""


@dataclass(frozen=True)
class Picture:
    """An encoded image and the camera that took it; `pose` is its camera_from_points (see `cameras`).

    `content` is a JPEG or PNG file. A depth image is a PNG of 16 bits whose counts are `unit` long, in the
    length that `pose` maps to; 0 and 65535 are no measurement. A colour image has unit 0.
    Where nobody knows the camera, its intrinsics and pose are NaN.
    """

    content: bytes
    camera: Pinhole
    pose: Float64[np.ndarray, "4 4"]
    unit: float = 0.0

    @property
    def has_camera(self) -> bool:
        """Whether it is known through what camera, and from where, the picture was taken."""
        return bool(np.isfinite(astuple(self.camera)).all() and np.isfinite(self.pose).all())


@dataclass(frozen=True)
class View:
    """What was seen of a cloud from one place: a colour image, perhaps a depth image by another camera."""

    name: str
    colour: Picture | None = None
    depth: Picture | None = None


@dataclass(frozen=True)
class Cloud:
    """One point cloud with what is known of it; arrays share their first dimension, the points.

    `label` indexes the set's class names, `point_labels` its part names; `normals` have unit length,
    `colours` lie in 0 to 1.
    """

    points: Float32[np.ndarray, "points 3"]
    label: int | None = None
    normals: Float32[np.ndarray, "points 3"] | None = None
    colours: Float32[np.ndarray, "points 3"] | None = None
    point_labels: Int64[np.ndarray, " points"] | None = None
    caption: str | None = None
    views: tuple[View, ...] = ()

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "Cloud":
        """The cloud made of these rows of every per-point array, in this order."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: v[rows] for k, v in arrays.items() if isinstance(v, np.ndarray)})


@dataclass(frozen=True)
class PointBatch:
    """A dense batch: rows past `counts` are zero and belong to no cloud.

    `ids` are the 63-bit sample ids; `labels` index classes; `rows` say which point of the stored cloud each
    one is, where that is asked for; `point_labels` and `rows` are -1 in padded rows. Where asked for,
    `pictures` show each cloud once, in red, green and blue from 0 to 255, `picture_numbers` say which of the
    set's pictures these are, or would be (`CachedSplit.decoded`), and `captions` are hashes of what is said
    of it (`CachedSplit.caption_texts`). Numbers and hashes are -1 where a cloud has none, and its picture is
    black. `pixels` are the (column, row) at which that picture shows each point, real-valued, with pixel
    centres at integers; (-1, -1) where it does not show the point, and in padded rows. `views` are further
    augmented copies of the same samples, in the same order, where a paradigm compares several; the batch
    itself is the first, and it alone has pictures and captions.
    """

    points: Float32[Tensor, "batch points 3"]
    counts: Int64[Tensor, " batch"]
    ids: Int64[Tensor, " batch"]
    labels: Int64[Tensor, " batch"] | None = None
    normals: Float32[Tensor, "batch points 3"] | None = None
    colours: Float32[Tensor, "batch points 3"] | None = None
    point_labels: Int64[Tensor, "batch points"] | None = None
    rows: Int64[Tensor, "batch points"] | None = None
    pictures: UInt8[Tensor, "batch height width 3"] | None = None
    picture_numbers: Int64[Tensor, " batch"] | None = None
    pixels: Float32[Tensor, "batch points 2"] | None = None
    captions: Int64[Tensor, " batch"] | None = None
    views: tuple["PointBatch", ...] = ()

    def __len__(self) -> int:
        return int(self.points.shape[0])

    def to(self, device: torch.device) -> "PointBatch":
        """The same batch with every tensor on `device`."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {k: v.to(device, non_blocking=True) for k, v in held.items() if isinstance(v, Tensor)}
        return replace(self, **moved, views=tuple(view.to(device) for view in self.views))

    def geometry(
        self,
        find: Callable[Concatenate[Tensor, Tensor, Settings], Found],
        *settings: Settings.args,
        **named: Settings.kwargs,
    ) -> Found:
        """`find(points, counts, *settings)`, found once for all networks that are shown this very batch.

        What is found depends on nothing but its arguments: `find` is a function of a module, and settings are
        hashable. It is freed with the batch; what `replace` and `to` make, copies, and the batch as another
        process gets it remember nothing. Points that want gradients are looked at anew each time, for a graph
        serves one backward pass.
        """
        if self.points.requires_grad:
            return find(self.points, self.counts, *settings, **named)
        key = (find, settings, frozenset(named.items()))
        if key not in self._geometry:
            self._geometry[key] = find(self.points, self.counts, *settings, **named)
        found: Found = self._geometry[key]
        return found

    @cached_property
    def _geometry(self) -> dict[Hashable, Any]:
        """What was found, by how; no field of the batch, and no part of its state."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
