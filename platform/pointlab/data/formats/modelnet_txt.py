"""ModelNet as `modelnet40_normal_resampled`: 10 000 points with normals a cloud, one text file each.

The release of PointNet++ (Qi et al., NeurIPS 2017; github.com/charlesq34/pointnet2). Its folder holds

    modelnet40_shape_names.txt                     one class a line; a label is a line number, from 0
    modelnet40_train.txt, modelnet40_test.txt      names such as airplane_0001 or night_stand_0001
    airplane/airplane_0001.txt, ...                rows of x,y,z,nx,ny,nz

and the same three lists as `modelnet10_*`, of the 10 classes of ModelNet10 within the same files.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.text_tables import read_table
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)


class ModelNetTxt(Source):
    """Clouds with normals of a folder in the layout of `modelnet40_normal_resampled`, in the unit sphere."""

    kind: Literal["modelnet_txt"] = "modelnet_txt"
    classes: Literal[10, 40] = 40
    """Which of the two sets of lists; 40, the whole release."""
    up_axis: UpAxis = "y"
    """As in the official files."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud (they are in random order); None, as released: all."""
    missing_files: Literal["error", "skip"] = "error"
    """What to do where listed files are absent; an error, for figures on a part compare with nothing."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all listed clouds; only the lists are read and the class folders are looked into."""
        folder = require_root(root, self.kind)
        lists = [f"modelnet{self.classes}_{part}.txt" for part in ("shape_names", "train", "test")]
        (class_names,) = read_lists(folder / lists[0])
        train, test = read_lists(folder / lists[1], folder / lists[2])
        listed = _listed_rows(train, "train", class_names, folder / lists[1])
        listed += _listed_rows(test, "test", class_names, folder / lists[2])
        rows = self._present(listed, folder, class_names)
        return SourceIndex(
            class_names=tuple(class_names),
            rows=tuple(rows),
            files=(*lists, *(row.file for row in rows)),
            points_per_cloud=self.num_points,
            card=MODELNET,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with normals."""
        folder = require_root(root, self.kind)
        return [self._read_cloud(folder / row.file, row.label) for row in rows]

    def _present(self, rows: list[SourceRow], folder: Path, class_names: list[str]) -> list[SourceRow]:
        """The rows whose files exist; the others are an error or, if so configured, counted in the log."""
        class_folders = [folder / name for name in class_names if (folder / name).is_dir()]
        files = {f"{parent.name}/{path.name}" for parent in class_folders for path in parent.iterdir()}
        absent = [row.file for row in rows if row.file not in files]
        if absent and (self.missing_files == "error" or len(absent) == len(rows)):
            raise DataError(
                f"{len(absent)} of {len(rows)} listed files are missing, the first is {folder / absent[0]}.",
                expected="every file in the lists",
                remedy="unpack the release again, or set missing_files: skip to use those that are there",
            )
        if absent:
            logger.warning("%d of %d listed files are missing in %s: skipped", len(absent), len(rows), folder)
        return [row for row in rows if row.file in files]

    def _read_cloud(self, path: Path, label: int | None) -> Cloud:
        values = read_table(path, (6,), "x,y,z,nx,ny,nz", self.num_points)
        points, normals = to_y_up(values[:, :3], self.up_axis), to_y_up(values[:, 3:], self.up_axis)
        return Cloud(np.ascontiguousarray(points), label=label, normals=np.ascontiguousarray(normals))


def _listed_rows(names: list[str], split: Split, class_names: list[str], path: Path) -> list[SourceRow]:
    """One row a listed name; the class is what stands before the last underscore."""
    labels = {name: label for label, name in enumerate(class_names)}
    rows = []
    for name in names:
        class_name = name.rpartition("_")[0]
        if class_name not in labels:
            raise DataError(
                f"{path} lists {name!r}, of class {class_name!r}.",
                expected=f"one of the {len(class_names)} classes, such as {class_names[0]!r}",
                remedy="check that the lists of names and of classes are of one release",
            )
        rows.append(SourceRow(f"{class_name}/{name}.txt", 0, split, labels[class_name]))
    return rows
