"""ScanNet: reconstructed rooms with colours and the twenty classes of the benchmark; z up, metres.

    scans/<scene>/<scene>_vh_clean_2.ply            the mesh, of which the vertices are taken
    scans/<scene>/<scene>_vh_clean_2.labels.ply     the same with nyu40 numbers as `label`
    scans_test/<scene>/<scene>_vh_clean_2.ply       without labels
    scannetv2_train.txt, _val.txt, _test.txt        the official split, here or in Tasks/Benchmark

A scene such as scene0012_01 is the second scan of room scene0012; scans of a room are one group.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from pointlab.data.catalogue.scenes import SCANNET
from pointlab.data.formats.axes import to_y_up
from pointlab.data.formats.cloud_fields import cloud_from_fields, whole_labels
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.ply import read_ply
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
LISTS: dict[str, Split] = {
    "scannetv2_train.txt": "train",
    "scannetv2_val.txt": "validation",
    "scannetv2_test.txt": "test",
}
CLASSES = {
    **{1: "wall", 2: "floor", 3: "cabinet", 4: "bed", 5: "chair", 6: "sofa", 7: "table", 8: "door"},
    **{9: "window", 10: "bookshelf", 11: "picture", 12: "counter", 14: "desk", 16: "curtain"},
    **{24: "refrigerator", 28: "shower curtain", 33: "toilet", 34: "sink", 36: "bathtub"},
    **{39: "other furniture"},
}
"""nyu40 number -> name, of the classes of the benchmark; all others, and 0, are not evaluated."""
NUM_NYU = 41
"""nyu40 numbers, with 0 for unlabelled."""
UNLABELLED = -1


class Scannet(Source):
    """Whole rooms: points, colours, normals where there are any, and the class of each point or -1."""

    kind: Literal["scannet"] = "scannet"

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all scenes, by names and the official lists."""
        folder = require_root(root, self.kind)
        scenes = _find_scenes(folder)
        splits = scene_splits(folder)
        rows, files = [], []
        for scene, place in sorted(scenes.items()):
            file = f"{place}/{scene}/{scene}_vh_clean_2.ply"
            split = splits.get(scene, "test" if place == "scans_test" else "train")
            rows.append(SourceRow(file, 0, split, None, group=room_of(scene)))
            files += [file] if place == "scans_test" else [file, labels_of(file)]
        absent = [name for name in files if not (folder / name).is_file()]
        if absent:
            raise DataError(
                f"{len(absent)} files of scenes are missing; there is no file {folder / absent[0]}.",
                expected="mesh and labels of every scene, or the mesh alone in scans_test",
                remedy="download them, or take the folders of these scenes out",
            )
        _compare(splits, scenes, folder)
        return SourceIndex(
            class_names=(),
            rows=tuple(rows),
            files=(*files, *(path.relative_to(folder).as_posix() for path in list_files(folder).values())),
            part_names=tuple(CLASSES.values()),
            card=SCANNET,
            is_grouped=True,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The scenes of `rows`, in their order."""
        folder = require_root(root, self.kind)
        return [_read_scene(folder, row.file) for row in rows]


def room_of(scene: str) -> str:
    """The room that a scene is a scan of."""
    return scene.partition("_")[0]


def labels_of(file: str) -> str:
    """The file of the labels of a mesh."""
    return file.removesuffix(".ply") + ".labels.ply"


def list_files(folder: Path) -> dict[str, Path]:
    """Those of the official lists that are there, by name."""
    places = [folder, folder / "Tasks" / "Benchmark"]
    return {name: place / name for name in LISTS for place in places if (place / name).is_file()}


def scene_splits(folder: Path) -> dict[str, Split]:
    """Split of every scene that the official lists name; empty without lists."""
    found = list_files(folder)
    lists = read_lists(*found.values())
    return {scene: LISTS[name] for name, scenes in zip(found, lists, strict=True) for scene in scenes}


def _find_scenes(folder: Path) -> dict[str, str]:
    """The folder, `scans` or `scans_test`, in which each scene lies."""
    scenes = {
        path.name: place
        for place in ("scans", "scans_test")
        if (folder / place).is_dir()
        for path in (folder / place).iterdir()
        if path.is_dir() and path.name.startswith("scene")
    }
    if not scenes:
        raise DataError(
            f"{folder} holds no scenes.",
            expected="folders such as scans/scene0000_00",
            remedy="set `root` to the folder that holds `scans`",
        )
    return scenes


def _compare(splits: dict[str, Split], scenes: dict[str, str], folder: Path) -> None:
    """DataError for a scene that no list names, where there are lists; a warning for absent ones."""
    unlisted = sorted(set(scenes) - set(splits))
    if splits and unlisted:
        raise DataError(
            f"{folder} holds {len(unlisted)} scenes that no list names, first {unlisted[0]}.",
            expected=f"every scene in one of {', '.join(LISTS)}",
            remedy="complete the lists, or take these scenes or all lists out",
        )
    num_missing = len(set(splits) - set(scenes))
    if num_missing:
        logger.warning("%d of %d listed scenes are not in %s", num_missing, len(splits), folder)


def _read_scene(folder: Path, file: str) -> Cloud:
    path = folder / file
    cloud = cloud_from_fields(read_ply(path).vertices, path, ("normals", "colours"))
    if file.startswith("scans_test/"):
        labels = np.full(len(cloud.points), UNLABELLED, dtype=np.int64)
    else:
        labels = _read_labels(folder / labels_of(file), len(cloud.points))
    return Cloud(
        to_y_up(cloud.points, "z"),
        normals=None if cloud.normals is None else to_y_up(cloud.normals, "z"),
        colours=cloud.colours,
        point_labels=labels,
    )


def _read_labels(path: Path, num_points: int) -> Int64[np.ndarray, " points"]:
    """Class of every point, numbered as in the benchmark; -1 for those of no class of it."""
    fields = read_ply(path).vertices
    values = fields.get("label", np.empty(0))
    if len(values) != num_points:
        raise DataError(
            f"{path} has {len(values)} labels, for {num_points} points.",
            expected="a property `label` for every vertex of the mesh",
            remedy="download mesh and labels of one release",
        )
    numbers = whole_labels(values, path)
    if num_points and not 0 <= numbers.min() <= numbers.max() < NUM_NYU:
        raise DataError(
            f"{path} has labels from {numbers.min()} to {numbers.max()}.",
            expected="nyu40 numbers, 0 to 40",
            remedy="use the labels of the release, not those of another list of classes",
        )
    table = np.full(NUM_NYU, UNLABELLED, dtype=np.int64)
    table[list(CLASSES)] = np.arange(len(CLASSES))
    classes: Int64[np.ndarray, " points"] = table[numbers]
    return classes
