"""ModelNet as the `.dat` files of Point-BERT: 8192 points with normals a cloud, all of a split in one pickle.

Made from `modelnet40_normal_resampled` by farthest point sampling, so points are in that order (Yu et al.,
CVPR 2022; github.com/lulutang0608/Point-BERT). A folder holds, for 40 or for 10 classes,

    modelnet40_shape_names.txt              one class a line; a label is a line number, from 0
    modelnet40_train_8192pts_fps.dat        [one (8192, 6) array of xyz and normal a cloud, one label a cloud]
    modelnet40_test_8192pts_fps.dat

The pickles are never executed, and of their 1.9 GB only the rows asked for are read (`pickles`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt

from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.formats.axes import UpAxis
from pointlab.data.formats.by_file import read_by_file, require_rows
from pointlab.data.formats.files import read_lists, require_root
from pointlab.data.formats.labels import require_label
from pointlab.data.formats.modelnet import require_points
from pointlab.data.formats.pickled_clouds import load_cloud, misfit, read_integer, require_cloud
from pointlab.data.formats.pickles import read_pickle
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split

SPLITS: tuple[Split, ...] = ("train", "test")


class ModelNetDat(Source):
    """Clouds with normals of the `.dat` files of Point-BERT, as in `modelnet40_normal_resampled`."""

    kind: Literal["modelnet_dat"] = "modelnet_dat"
    classes: Literal[10, 40] = 40
    """Which of the two sets; 40, as all of the papers use."""
    points_in_name: PositiveInt = 8192
    """The number in the names of the files; 8192, as released."""
    up_axis: UpAxis = "y"
    """As in the official files."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud, a farthest-point sample; None, as released: all."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of both files with their labels; no cloud is read."""
        folder = require_root(root, self.kind)
        names_file = f"modelnet{self.classes}_shape_names.txt"
        (class_names,) = read_lists(folder / names_file)
        files = {
            split: f"modelnet{self.classes}_{split}_{self.points_in_name}pts_fps.dat" for split in SPLITS
        }
        rows: list[SourceRow] = []
        lengths: set[int] = set()
        for split, name in files.items():
            for row, (length, label) in enumerate(self._read_header(folder / name, len(class_names))):
                lengths.add(length)
                rows.append(SourceRow(name, row, split, label))
        return SourceIndex(
            class_names=tuple(class_names),
            rows=tuple(rows),
            files=(names_file, *files.values()),
            points_per_cloud=lengths.pop() if len(lengths) == 1 else None,
            card=MODELNET,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with normals."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: self._read_clouds(folder / file, wanted))

    def _read_header(self, path: Path, num_classes: int) -> Iterator[tuple[int, int]]:
        """How many points are kept of every cloud in the file, and its label."""
        clouds, labels = _read_lists(path)
        with path.open("rb") as stream:
            for row, (cloud, value) in enumerate(zip(clouds, labels, strict=True)):
                length = require_points(path, require_cloud(cloud, path, row).shape[0], self.num_points)
                label = read_integer(value, stream, path, row)
                yield length, require_label(label, path, row, num_classes)

    def _read_clouds(self, path: Path, rows: list[SourceRow]) -> list[Cloud]:
        clouds, _ = _read_lists(path)
        require_rows(path, len(clouds), rows)
        arrays = [require_cloud(clouds[row.row], path, row.row) for row in rows]
        with path.open("rb") as stream:
            return [
                load_cloud(array, stream, row.label, self.num_points, self.up_axis)
                for array, row in zip(arrays, rows, strict=True)
            ]


def _read_lists(path: Path) -> tuple[list[Any], list[Any]]:
    """The clouds and the labels of a file, equally many and at least one."""
    match read_pickle(path):
        case [list(clouds), list(labels)] if len(clouds) == len(labels) and clouds:
            return clouds, labels
        case [list(clouds), list(labels)]:
            raise misfit(path, f"{len(clouds)} clouds and {len(labels)} labels", "one label a cloud")
        case other:
            found = f"a value of type {type(other).__name__}"
            raise misfit(path, found, "two lists, of the clouds and of their labels")
