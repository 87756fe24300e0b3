"""ModelNet as `modelnet40_ply_hdf5_2048`: 2048 points a cloud, in HDF5 files of up to 2048 clouds.

The release of PointNet (Qi et al., CVPR 2017; github.com/charlesq34/pointnet). Its folder holds

    shape_names.txt                    one class a line; a label is a line number, from 0
    train_files.txt, test_files.txt    paths such as data/modelnet40_ply_hdf5_2048/ply_data_train0.h5
    ply_data_train0.h5, ...            `data` (clouds, points, 3), `label` (clouds, 1), at times `normal`

The files `ply_data_train_0_id2file.json` name the CAD models; no cloud depends on them. Any set in this
layout can be read, of whatever classes and length, and with `files` and `class_names` one without lists.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from pydantic import PositiveInt

from pointlab.config import StrictModel
from pointlab.data.catalogue import UNKNOWN
from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.by_file import read_by_file
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.hdf5 import open_hdf5, read_labels, read_vectors, require_vectors
from pointlab.data.formats.modelnet import require_points
from pointlab.data.sample import Cloud
from pointlab.data.source import SPLITS, Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

NAMES, TRAIN, TEST = "shape_names.txt", "train_files.txt", "test_files.txt"


class SplitFiles(StrictModel):
    """Files of each split, relative to the root."""

    train: tuple[str, ...] = ()
    """Trained on; none, as a set may be for testing only."""
    validation: tuple[str, ...] = ()
    """Chosen by; none: a share of `train` becomes it."""
    test: tuple[str, ...] = ()
    """Read once, at the end; none, as a set may be for training only."""


class ModelNetH5(Source):
    """Clouds of a folder in the layout of `modelnet40_ply_hdf5_2048`, in the unit sphere."""

    kind: Literal["modelnet_h5"] = "modelnet_h5"
    files: SplitFiles | None = None
    """Instead of the lists train_files.txt and test_files.txt; None, as released: by these lists."""
    class_names: tuple[str, ...] | None = None
    """Instead of shape_names.txt, in the order of the labels; None, as released: by this list."""
    up_axis: UpAxis = "y"
    """As in the official files; sets made from ModelNet's own meshes are z-up."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud (they are in random order); None, as released: all."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all listed files, with their labels; shapes and labels are checked, no cloud is read."""
        folder = require_root(root, self.kind)
        class_names = self.class_names or read_lists(folder / NAMES)[0]
        split_of = self._split_files(folder)
        rows: list[SourceRow] = []
        lengths: set[int] = set()
        for name, split in split_of.items():
            labels, num_points = self._read_header(folder / name, len(class_names))
            rows += [SourceRow(name, row, split, label) for row, label in enumerate(labels)]
            lengths.add(num_points)
        lists = [() if self.class_names else (NAMES,), () if self.files else (TRAIN, TEST)]
        return SourceIndex(
            class_names=tuple(class_names),
            rows=tuple(rows),
            files=(*lists[0], *lists[1], *split_of),
            points_per_cloud=lengths.pop() if len(lengths) == 1 else None,
            card=UNKNOWN if self.files or self.class_names else MODELNET,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order; each file is opened once, whatever the order."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: self._read_clouds(folder / file, wanted))

    def _split_files(self, folder: Path) -> dict[str, Split]:
        """The split of every file, by its name; DataError for a file that is named twice."""
        files: dict[Split, Sequence[str]] = {}
        if self.files is None:
            files["train"], files["test"] = read_lists(folder / TRAIN, folder / TEST)
        else:
            files = {split: getattr(self.files, split) for split in SPLITS}
        named = [(name, split) for split, names in files.items() for name in names]
        if not named or len(dict(named)) < len(named):
            raise DataError(
                f"`files` names {[name for name, _ in named]}.",
                expected="at least one file, and every file once over all splits",
                remedy="correct `files` in the settings of the source",
            )
        return dict(named)

    def _read_header(self, path: Path, num_classes: int) -> tuple[list[int], int]:
        """Labels of all clouds in the file, and how many points of each are kept."""
        with open_hdf5(path) as file:
            points, _ = _points_and_normals(file)
            labels = read_labels(file, len(points), num_classes)
            return labels.tolist(), require_points(path, points.shape[1], self.num_points)

    def _read_clouds(self, path: Path, rows: Sequence[SourceRow]) -> list[Cloud]:
        numbers = np.array([row.row for row in rows], dtype=np.int64)
        with open_hdf5(path) as file:
            stored_points, stored_normals = _points_and_normals(file)
            num_points = require_points(path, stored_points.shape[1], self.num_points)
            points = to_y_up(read_vectors(stored_points, numbers, num_points), self.up_axis)
            if stored_normals is None:
                return [Cloud(points[place], row.label) for place, row in enumerate(rows)]
            normals = to_y_up(read_vectors(stored_normals, numbers, num_points), self.up_axis)
        return [Cloud(points[place], row.label, normals[place]) for place, row in enumerate(rows)]


def _points_and_normals(file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset | None]:
    """The arrays of points and, where the file has them, of normals; equal in shape."""
    points = require_vectors(file, "data")
    normals = require_vectors(file, "normal") if "normal" in file else None
    if normals is not None and normals.shape != points.shape:
        raise DataError(
            f"{file.filename} holds 'data' of shape {points.shape} and 'normal' of shape {normals.shape}.",
            expected="one normal a point",
            remedy="download the file again, or store it without normals",
        )
    return points, normals
