"""`rooms`: clouds of furnished rooms, fused from the noisy frames of a hand-held RGB-D camera.

A sample is what one short walk through a room has seen: some views, each with a colour and a depth image
and the poses of both cameras, and the points of all depth images together, thinned to one in each voxel,
with colours from the pictures, true normals and the class of what each belongs to.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from pointlab.data.builtin.objects import CLASSES
from pointlab.data.builtin.objects.variety import describe, with_article
from pointlab.data.builtin.primitives import Points
from pointlab.data.builtin.rooms.furnishing import ROOM_TYPES
from pointlab.data.builtin.rooms.handheld import walk
from pointlab.data.builtin.rooms.scene import SEMANTIC_NAMES, Scene, make_scene
from pointlab.data.builtin.rooms.sensing import make_frame, make_rig, record
from pointlab.data.catalogue import BUILT_IN
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.seeding import Key, generator

MIN_SEEN = 50
"""Points of a class, before thinning, from which on a caption names it: one in a thousand."""


class Rooms(Source):
    """Furnished rooms of several types, with per-point labels and RGB-D views; y-up, in metres."""

    kind: Literal["rooms"] = "rooms"
    needs_root: ClassVar[bool] = False
    num_train: int = Field(default=40, ge=0)
    """Rooms to train on: ten of each type."""
    num_test: int = Field(default=12, ge=0)
    """Rooms to test on: three of each type, none of them seen in training."""
    samples_per_room: int = Field(default=2, ge=1)
    """Walks through each room: two show different corners of it."""
    views_per_cloud: int = Field(default=4, ge=1)
    """Frames fused to a cloud: four fill most of what one of them hides."""
    image_width: int = Field(default=160, ge=16)
    """Pixels: a quarter of VGA along each side, made in a tenth of the time."""
    image_height: int = Field(default=120, ge=16)
    """Pixels: the usual 4:3."""
    voxel_size: float = Field(default=0.03, gt=0)
    """Metres: about the spacing of pixels at 4 m, so that near surfaces do not outweigh far ones."""
    noise_scale: float = Field(default=1.0, ge=0)
    """Multiplies the depth noise; 1 is that of a first-generation Kinect."""
    seed: int = 0
    """Another seed gives other rooms."""

    @property
    def gives_pictures(self) -> bool:
        """One for each view."""
        return True

    @property
    def gives_cameras(self) -> bool:
        """Those of the rig."""
        return True

    @property
    def gives_captions(self) -> bool:
        """Every cloud says which room it is of."""
        return True

    def index(self, root: Path | None) -> SourceIndex:  # noqa: ARG002
        """All samples; those of one room are a group. Only `train` and `test` are listed."""
        sizes: tuple[tuple[Split, int], ...] = (("train", self.num_train), ("test", self.num_test))
        kinds = tuple(ROOM_TYPES)
        rows = []
        for split, size in sizes:
            for room in range(size):
                label = room % len(kinds)
                file = f"rooms/{split}/{kinds[label]}/{room:05d}"
                rows += [
                    SourceRow(file, walked, split, label, group=file)
                    for walked in range(self.samples_per_room)
                ]
        return SourceIndex(
            class_names=kinds,
            rows=tuple(rows),
            part_names=SEMANTIC_NAMES,
            card=BUILT_IN,
            is_grouped=True,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:  # noqa: ARG002
        """The clouds of `rows`, made afresh, each room once; DataError for a row that is none of this set."""
        by_room: dict[str, list[int]] = {}
        for position, row in enumerate(rows):
            by_room.setdefault(row.file, []).append(position)
        clouds: dict[int, Cloud] = {}
        for file, positions in by_room.items():
            split, kind, room = _parse(file)
            key: tuple[Key, ...] = ("rooms", self.version, self.seed, split, kind, room)
            scene = make_scene(kind, generator(*key))
            for position in positions:
                clouds[position] = self._walk(scene, kind, generator(*key, "walk", rows[position].row))
        return [clouds[position] for position in range(len(rows))]

    def _walk(self, scene: Scene, kind: str, source: np.random.Generator) -> Cloud:
        """The cloud and the views of one walk through `scene`."""
        rig = make_rig(self.image_width, self.image_height)
        recordings = [
            record(scene, rig, pose, name=f"{number:02d}", noise_scale=self.noise_scale, generator=source)
            for number, pose in enumerate(walk(scene, self.views_per_cloud, source))
        ]
        frames = [make_frame(scene, recording) for recording in recordings]
        points, normals, colours, labels = (
            np.concatenate([getattr(frame, name) for frame in frames])
            for name in ("points", "normals", "colours", "labels")
        )
        cloud = Cloud(
            points=points.astype(np.float32),
            label=list(ROOM_TYPES).index(kind),
            normals=normals.astype(np.float32),
            colours=colours.astype(np.float32),
            point_labels=labels,
            caption=_caption(kind, labels),
            views=tuple(recording.view for recording in recordings),
        )
        return cloud.take(one_per_voxel(points, self.voxel_size))


def one_per_voxel(points: Points, size: float) -> Int64[np.ndarray, " kept"]:
    """Rows, ascending, of the first point in each cube of side `size`."""
    cells = np.floor((points - points.min(0)) / size).astype(np.int64)
    _, numbers, depths = (cells.max(0) + 1).tolist()
    keys = (cells[:, 0] * numbers + cells[:, 1]) * depths + cells[:, 2]
    return np.sort(np.unique(keys, return_index=True)[1])


def _parse(file: str) -> tuple[str, str, str]:
    """Split, type and number of the room that `file` stands for."""
    parts = tuple(file.split("/"))
    if (
        len(parts) != 4
        or parts[0] != "rooms"
        or parts[1] not in ("train", "test")
        or parts[2] not in ROOM_TYPES
    ):
        raise DataError(
            f"The built-in set has no file {file!r}.",
            expected="rooms/<train or test>/<type>/<number>, such as rooms/train/office/00003",
            remedy="take rows from the index of the same source",
        )
    return parts[1:]


def _caption(kind: str, labels: Int64[np.ndarray, " points"]) -> str:
    """The type of room and the furniture of which enough is seen: "an office with a chair and a table"."""
    counts = Counter(labels.tolist())
    seen = [name for row, name in enumerate(SEMANTIC_NAMES) if name in CLASSES and counts[row] >= MIN_SEEN]
    return describe(kind, [with_article(name) for name in seen])
