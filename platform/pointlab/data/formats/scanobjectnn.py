"""ScanObjectNN: 2048 points of real, cluttered objects a cloud, in HDF5 files by variant.

Uy et al., Revisiting Point Cloud Classification, ICCV 2019 (hkust-vgd.github.io/scanobjectnn). The release
unpacks to `h5_files`, which holds

    main_split/        with background:     {training,test}_objectdataset.h5           OBJ_BG
    main_split_nobg/   without background:  {training,test}_objectdataset.h5           OBJ_ONLY
    both folders                            ..._objectdataset_augmented25_norot.h5     PB_T25
                                            ..._objectdataset_augmented25rot.h5        PB_T25_R
                                            ..._objectdataset_augmentedrot.h5          PB_T50_R
                                            ..._objectdataset_augmentedrot_scale75.h5  PB_T50_RS, the hardest

each with `data` (clouds, points, 3), `label` and at times `mask` (clouds, points), -1 on the background.
Clouds are y-up, and neither centred nor scaled.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from pydantic import PositiveInt, model_validator

from pointlab.data.catalogue.objects import SCANOBJECTNN, SCANOBJECTNN_ROWS
from pointlab.data.formats.by_file import read_by_file
from pointlab.data.formats.files import require_root
from pointlab.data.formats.hdf5 import (
    open_hdf5,
    read_labels,
    read_rows,
    read_vectors,
    require_dataset,
    require_vectors,
)
from pointlab.data.formats.modelnet import require_points
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

Variant = Literal["obj_bg", "obj_only", "pb_t25", "pb_t25_r", "pb_t50_r", "pb_t50_rs"]
ENDINGS: dict[Variant, str] = {
    "obj_bg": "",
    "obj_only": "",
    "pb_t25": "_augmented25_norot",
    "pb_t25_r": "_augmented25rot",
    "pb_t50_r": "_augmentedrot",
    "pb_t50_rs": "_augmentedrot_scale75",
}
PREFIXES: dict[Split, str] = {"train": "training", "test": "test"}
CLASSES = (
    *("bag", "bin", "box", "cabinet", "chair", "desk", "display", "door"),
    *("shelf", "table", "bed", "pillow", "sink", "sofa", "toilet"),
)
"""In the order of the labels."""
PARTS = ("background", "object")


class ScanObjectNN(Source):
    """Clouds of one variant of ScanObjectNN, with which points are the object's where the files say so."""

    kind: Literal["scanobjectnn"] = "scanobjectnn"
    variant: Variant = "pb_t50_rs"
    """The hardest, on which papers compare first."""
    background: bool = True
    """Whether the pb variants keep their background, as in the papers; obj_bg and obj_only say it."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud (they are in random order); None, as released: all."""

    @model_validator(mode="after")
    def _check_background(self) -> "ScanObjectNN":
        if self.variant == "obj_bg" and not self.background:
            raise ValueError("obj_bg is the variant with background; the one without it is obj_only")
        return self

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of both files, with their labels; no cloud is read."""
        folder = require_root(root, self.kind)
        rows: list[SourceRow] = []
        lengths: set[int] = set()
        has_mask: list[bool] = []
        for split, name in self._files(folder).items():
            with open_hdf5(folder / name) as file:
                points = require_vectors(file, "data")
                lengths.add(require_points(folder / name, points.shape[1], self.num_points))
                labels = read_labels(file, len(points), len(CLASSES))
                has_mask.append(_mask(file, points) is not None)
            rows += [SourceRow(name, row, split, int(label)) for row, label in enumerate(labels)]
        return SourceIndex(
            class_names=CLASSES,
            rows=tuple(rows),
            files=tuple(dict.fromkeys(row.file for row in rows)),
            points_per_cloud=lengths.pop() if len(lengths) == 1 else None,
            part_names=PARTS if any(has_mask) else (),
            card=replace(SCANOBJECTNN, rows=SCANOBJECTNN_ROWS.get(self.variant, {})),
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order; point labels are 1 on the object, 0 on its background."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: self._read_clouds(folder / file, wanted))

    def _files(self, folder: Path) -> dict[Split, str]:
        """The file of each split, relative to `folder`: the release, its `h5_files`, or a folder of these."""
        has_background = self.background and self.variant != "obj_only"
        main = "main_split" if has_background else "main_split_nobg"
        parents = [f"{parent}{main}" for parent in ("", "h5_files/") if (folder / parent / main).is_dir()]
        if not parents:
            raise DataError(
                f"{folder} holds no folder {main}.",
                expected=f"{main}, or h5_files/{main}, for variant {self.variant}",
                remedy="set `root` to the folder into which h5_files.zip was unpacked",
            )
        ending = f"objectdataset{ENDINGS[self.variant]}.h5"
        return {split: f"{parents[0]}/{prefix}_{ending}" for split, prefix in PREFIXES.items()}

    def _read_clouds(self, path: Path, rows: list[SourceRow]) -> list[Cloud]:
        numbers = np.array([row.row for row in rows], dtype=np.int64)
        with open_hdf5(path) as file:
            stored = require_vectors(file, "data")
            num_points = require_points(path, stored.shape[1], self.num_points)
            points = read_vectors(stored, numbers, num_points)
            mask = _mask(file, stored)
            parts = None if mask is None else (read_rows(mask, numbers, num_points) != -1).astype(np.int64)
        return [
            Cloud(points[place], row.label, point_labels=None if parts is None else parts[place])
            for place, row in enumerate(rows)
        ]


def _mask(file: h5py.File, points: h5py.Dataset) -> h5py.Dataset | None:
    """The numbers of what each point lies on, where the file has them: one a point."""
    if "mask" not in file:
        return None
    mask = require_dataset(file, "mask")
    if mask.shape != points.shape[:2] or mask.dtype.kind not in "iuf":
        raise DataError(
            f"{file.filename} holds under 'mask' an array of shape {mask.shape} and type {mask.dtype}.",
            expected=f"numbers of shape {points.shape[:2]}, one a point",
            remedy="download the file again",
        )
    return mask
