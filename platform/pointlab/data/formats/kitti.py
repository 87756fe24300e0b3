"""KITTI: sweeps of a laser scanner on a car, with the pictures of its calibrated colour cameras; metres.

    training/velodyne/000000.bin            layout object: x y z reflectance, float32, of every point
    training/image_2/000000.png             the left colour camera (image_3: the right one)
    training/calib/000000.txt               P2, P3, R0_rect, Tr_velo_to_cam
    testing/...                             the same
    ImageSets/{train,val}.txt               parts training, where these lists lie there (Chen et al., 2015)

    sequences/00/velodyne/000000.bin        layout odometry
    sequences/00/image_2/000000.png
    sequences/00/calib.txt                  P2, P3, Tr
    sequences/00/labels/000000.label        SemanticKITTI, sequences 00 to 10

The formats are those of the object and the odometry development kit (readme.txt) and of
semantic-kitti.org/dataset.html. The scanner's frame is x forwards, y to the left, z up.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import PositiveInt, model_validator

from pointlab.data.catalogue import Card
from pointlab.data.catalogue.scenes import KITTI, SEMANTIC_KITTI
from pointlab.data.formats.axes import to_y_up
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.kitti_calibration import read_cameras
from pointlab.data.formats.kitti_labels import CLASSES, UNLABELLED, read_labels
from pointlab.data.formats.kitti_sweeps import greys, pixel_colours, read_table, read_view, shown_points
from pointlab.data.sample import Cloud, View
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

PARTS: dict[str, Split] = {"training": "train", "testing": "test"}
LISTS: dict[str, Split] = {"train.txt": "train", "val.txt": "validation"}
FIRST_UNLABELLED = 11
"""Sequences from here on are the benchmark's test, whose labels nobody has."""
FOLDERS: dict[str, tuple[str, ...]] = {"none": (), "left": ("image_2",), "both": ("image_2", "image_3")}


class Kitti(Source):
    """Sweeps with views of the colour cameras, and point labels where SemanticKITTI's are there."""

    to_give_pictures: ClassVar[str] = "set data.source.pictures to left"
    to_give_cameras: ClassVar[str] = to_give_pictures
    kind: Literal["kitti"] = "kitti"
    layout: Literal["object", "odometry"]
    """Has no default: which benchmark's folder it is."""
    pictures: Literal["none", "left", "both"] = "none"
    """Colour cameras whose pictures become views; none, as pictures are a download of their own."""
    colours: Literal["none", "reflectance", "pictures"] = "none"
    """What colours points: grey by how they reflect the laser, or the pixels that they fall on, black outside
    of pictures. none, as the scanner sees no colours."""
    outside: Literal["keep", "drop"] = "keep"
    """Points that no picture shows, five of six around the car; kept, as they are labelled too."""
    splits: Literal["official", "labelled_test"] = "official"
    """Of sequences. official: 08 is validation, and the test, 11 and on, has no labels. labelled_test: 07 is
    validation, 08 the test, and those without labels are left out."""
    stride: PositiveInt = 1
    """Every so manieth sweep of a folder is used; all. Those of a sequence are 0.1 seconds apart."""

    @property
    def gives_pictures(self) -> bool:
        """One a camera."""
        return self.pictures != "none"

    @property
    def gives_cameras(self) -> bool:
        """Those of the calibration."""
        return self.gives_pictures

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Kitti":
        if not self.gives_pictures and (self.colours == "pictures" or self.outside == "drop"):
            raise ValueError("colours: pictures and outside: drop need pictures: left, or both")
        if self.layout == "object" and self.splits != "official":
            raise ValueError("splits: labelled_test is for layout: odometry, the one with labels")
        return self

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all sweeps, by the names of files."""
        folder = require_root(root, self.kind)
        rows = self._object_rows(folder) if self.layout == "object" else self._sequence_rows(folder)
        is_labelled = self._is_labelled(folder)
        files = {file for row in rows for file in self._files_of(folder / row.file, is_labelled)}
        absent = [file for file in sorted(files) if not file.is_file()]
        if absent:
            raise DataError(
                f"{len(absent)} files are missing; there is no file {absent[0]}.",
                expected="calibration, pictures and labels of every sweep, as far as they are asked for",
                remedy="download them, set source.pictures to none, or take the folder out",
            )
        return SourceIndex(
            class_names=(),
            rows=tuple(rows),
            files=tuple(
                sorted(file.relative_to(folder).as_posix() for file in {*files, *self._lists(folder)})
            ),
            part_names=tuple(CLASSES) if is_labelled else (),
            card=self._card(folder),
            is_grouped=self.layout == "odometry",
        )

    def found_beside(self, root: Path, index: SourceIndex) -> Mapping[str, Any]:
        """The left camera, where it has a picture for the first sweep."""
        found = bool(index.rows) and _beside(root / index.rows[0].file, "image_2", ".png").is_file()
        return {"pictures": "left"} if found else {}

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The sweeps of `rows`, in their order."""
        folder = require_root(root, self.kind)
        is_labelled = self._is_labelled(folder)
        return [self._read_sweep(folder / row.file, is_labelled) for row in rows]

    def _is_labelled(self, folder: Path) -> bool:
        """Whether any sequence has labels: then all clouds of the set have some, be they `UNLABELLED`."""
        return self.layout == "odometry" and any(folder.glob("sequences/*/labels"))

    def _card(self, folder: Path) -> Card:
        """That of the release, with its numbers of clouds where all of them are used as it has them."""
        card = KITTI if self.layout == "object" else SEMANTIC_KITTI
        is_whole = self.stride == 1 and self.splits == "official" and not self._lists(folder)
        return card if is_whole else replace(card, rows={})

    def _lists(self, folder: Path) -> list[Path]:
        """The lists that part the object benchmark's training, where they lie there."""
        paths = [folder / "ImageSets" / name for name in LISTS] if self.layout == "object" else []
        return [path for path in paths if path.is_file()]

    def _object_rows(self, folder: Path) -> list[SourceRow]:
        """Rows of both parts; DataError without any, or for a frame that the lists do not name."""
        sweeps = {part: sorted((folder / part / "velodyne").glob("*.bin")) for part in PARTS}
        if not any(sweeps.values()):
            raise _nothing(folder, "training/velodyne/000000.bin", "object")
        listed = _splits_of(self._lists(folder))
        unlisted = [sweep for sweep in sweeps["training"] if listed and sweep.stem not in listed]
        if unlisted:
            raise DataError(
                f"{unlisted[0]} is in none of {', '.join(LISTS)}, nor are {len(unlisted) - 1} others.",
                expected="every frame of training in one of the lists",
                remedy="complete the lists in ImageSets, or take them out",
            )
        return [
            SourceRow(
                sweep.relative_to(folder).as_posix(),
                0,
                listed.get(sweep.stem, PARTS[part]) if part == "training" else PARTS[part],
                None,
            )
            for part in PARTS
            for sweep in sweeps[part][:: self.stride]
        ]

    def _sequence_rows(self, folder: Path) -> list[SourceRow]:
        """Rows of the sequences that the splits have."""
        rows = []
        for velodyne in sorted(folder.glob("sequences/*/velodyne")):
            name = velodyne.parent.name
            split = self._split(int(name)) if re.fullmatch(r"\d\d", name) else None
            if split is None:
                continue
            files = (sweep.relative_to(folder).as_posix() for sweep in sorted(velodyne.glob("*.bin")))
            rows += [SourceRow(file, 0, split, None, group=name) for file in list(files)[:: self.stride]]
        if not rows:
            raise _nothing(folder, "sequences/00/velodyne/000000.bin", "odometry")
        return rows

    def _split(self, sequence: int) -> Split | None:
        """The split of a sequence; None for one that is left out."""
        if self.splits == "official":
            return "test" if sequence >= FIRST_UNLABELLED else "validation" if sequence == 8 else "train"
        named: dict[int, Split] = {7: "validation", 8: "test"}
        return named.get(sequence, "train") if sequence < FIRST_UNLABELLED else None

    def _files_of(self, sweep: Path, is_labelled: bool) -> list[Path]:
        """All files that a sweep's cloud is read from."""
        pictures = [_beside(sweep, name, ".png") for name in FOLDERS[self.pictures]]
        labels = [_labels_of(sweep)] if is_labelled and _has_labels(sweep) else []
        calibration = [self._calibration_of(sweep)] if pictures else []
        return [sweep, *pictures, *labels, *calibration]

    def _calibration_of(self, sweep: Path) -> Path:
        return _beside(sweep, "calib", ".txt") if self.layout == "object" else sweep.parents[1] / "calib.txt"

    def _read_sweep(self, sweep: Path, is_labelled: bool) -> Cloud:
        table = read_table(sweep)
        points = to_y_up(table[:, :3], "z")
        views = self._read_views(sweep)
        colours = None
        if self.colours == "reflectance":
            colours = greys(table[:, 3], sweep)
        elif self.colours == "pictures":
            colours = pixel_colours(points, views)
        labels = _read_labels(sweep, len(points)) if is_labelled else None
        cloud = Cloud(points, colours=colours, point_labels=labels, views=views)
        return cloud.take(shown_points(points, views)) if self.outside == "drop" else cloud

    def _read_views(self, sweep: Path) -> tuple[View, ...]:
        """A view a camera."""
        if not self.gives_pictures:
            return ()
        cameras = read_cameras(self._calibration_of(sweep))
        names = FOLDERS[self.pictures]
        return tuple(read_view(_beside(sweep, name, ".png"), name, cameras[name]) for name in names)


def _nothing(folder: Path, example: str, layout: str) -> DataError:
    """The error of a folder without sweeps, which may be the one below the root that is meant."""
    is_sequences = folder.name == "sequences" and any(folder.glob("*/velodyne"))
    is_below = is_sequences or (folder / "velodyne").is_dir()
    return DataError(
        f"{folder} holds no sweeps in the layout {layout!r}.",
        expected=f"files such as {example}",
        remedy=f"set `root` one folder up: {folder.parent}" if is_below else "check `root` and `layout`",
    )


def _beside(sweep: Path, folder: str, suffix: str) -> Path:
    """The file of the same number in another folder."""
    return sweep.parents[1] / folder / f"{sweep.stem}{suffix}"


def _labels_of(sweep: Path) -> Path:
    return _beside(sweep, "labels", ".label")


def _has_labels(sweep: Path) -> bool:
    """Whether there must be labels: the benchmark's test has none, and some have them nevertheless."""
    name = sweep.parents[1].name
    return _labels_of(sweep).parent.is_dir() or (name.isdecimal() and int(name) < FIRST_UNLABELLED)


def _splits_of(paths: list[Path]) -> dict[str, Split]:
    """Split of each frame that the lists name."""
    return {
        frame: LISTS[path.name]
        for path, frames in zip(paths, read_lists(*paths), strict=True)
        for frame in frames
    }


def _read_labels(sweep: Path, num_points: int) -> Int64[np.ndarray, " points"]:
    """Labels of a sweep, all of them `UNLABELLED` where its sequence has none."""
    path = _labels_of(sweep)
    if path.parent.is_dir():
        return read_labels(path, num_points)
    return np.full(num_points, UNLABELLED)
