"""Clouds stacked in one npz file, as many projects pass them on: the settings say what its arrays are.

A file may hold all splits in one array, with another that says which cloud is in which (`split`), or an
array for each split; then names hold "{split}", as in "X_{split}" and "y_{split}". Coordinates may be fixed
point (integers times `points_scale`), or a cloud may be a grid of which some voxels are occupied. Object
arrays, which may run code, are refused.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import PositiveFloat, PositiveInt, model_validator

from pointlab.config import StrictModel
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.cloud_fields import unit_normals
from pointlab.data.formats.files import require_root
from pointlab.data.formats.labels import require_labels
from pointlab.data.formats.modelnet import require_points
from pointlab.data.formats.stacked_arrays import (
    occupied_centres,
    read_names,
    read_number,
    read_splits,
    require_clouds,
    require_grids,
    require_normals,
)
from pointlab.data.formats.zipped_arrays import ZippedArray, ZippedArrays, open_npz
from pointlab.data.sample import Cloud
from pointlab.data.source import SPLITS, Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

Vectors = Float32[np.ndarray, "points 3"]
PLACEHOLDER = "{split}"


class SplitNames(StrictModel):
    """What a file calls the splits: words or numbers."""

    train: int | str = "train"
    """Our own name, which most files use."""
    validation: int | str = "validation"
    """Our own name; `val` is as usual, and has to be said."""
    test: int | str = "test"
    """Our own name, which most files use."""

    @model_validator(mode="after")
    def _check_distinct(self) -> "SplitNames":
        if len({self.of(split) for split in SPLITS}) < len(SPLITS):
            raise ValueError("two splits have the same name")
        return self

    def of(self, split: Split) -> str:
        """The name of `split`, a number in digits."""
        return str(getattr(self, split))


class Npz(Source):
    """Clouds of one npz file, by the names of its arrays."""

    kind: Literal["npz"] = "npz"
    file: str | None = None
    """Its name in the root; None: the only npz file there."""
    points: str = "points"
    """The array of the clouds, (clouds, points, 3); the usual name."""
    points_scale: PositiveFloat | str | None = None
    """What integers are multiplied by: a number, or the array that holds it. None: coordinates are floats."""
    occupancy: bool = False
    """Whether a cloud is a grid (x, y, z) whose positive voxels are points, at their centres; rarely so."""
    normals: str | None = None
    """The array of the normals, of any scale; None: there are none."""
    labels: str | None = "labels"
    """The array of the labels, (clouds,) or (clouds, 1); the usual name. None: there are none."""
    classes: str | None = None
    """The array of the class names; None: they are `class_names`."""
    class_names: tuple[str, ...] = ()
    """The class names in the order of the labels, unless the file has them (`classes`)."""
    split: str | None = None
    """The array of the split of each cloud; None: "{split}" in the names says it, or all are for training."""
    split_values: SplitNames = SplitNames()
    """What the file calls each split, in `split` or in place of "{split}"."""
    up_axis: UpAxis = "y"
    """As in most files of single objects; sets made from ModelNet's own meshes are z-up."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud; None: all."""

    @model_validator(mode="after")
    def _check_names(self) -> "Npz":
        if self.split is not None and PLACEHOLDER in self.points:
            raise ValueError(f"splits are named twice, by `split` and by {PLACEHOLDER} in `points`")
        if self.occupancy and (self.normals or self.points_scale or self.num_points):
            raise ValueError("voxels have no normals, points_scale or num_points: leave these out")
        if self.classes is not None and self.class_names:
            raise ValueError("class names are given twice, by `classes` and by `class_names`")
        return self

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of the file with their labels and splits; of clouds only headers are read."""
        path = self._path(root)
        with open_npz(path) as arrays:
            class_names = self._class_names(arrays)
            parts = self._parts(arrays)
            splits: list[Split] = []
            labels: list[int | None] = []
            for split, points in parts.items():
                splits += self._splits(arrays, split, points.shape[0])
                labels += self._labels(arrays, split, points.shape[0], len(class_names))
        lengths = {self.num_points or points.shape[1] for points in parts.values()}
        return SourceIndex(
            class_names=class_names,
            rows=tuple(
                SourceRow(path.name, row, split, label)
                for row, (split, label) in enumerate(zip(splits, labels, strict=True))
            ),
            files=(path.name,),
            points_per_cloud=lengths.pop() if len(lengths) == 1 and not self.occupancy else None,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, in one pass over each array."""
        labels = {row.row: row.label for row in rows}
        clouds: dict[int, Cloud] = {}
        with open_npz(self._path(root)) as arrays:
            first = 0
            for split, points in self._parts(arrays).items():
                numbers = sorted(row - first for row in labels if first <= row < first + points.shape[0])
                for number, vectors, normals in self._read_rows(arrays, split, points, numbers):
                    row = first + number
                    clouds[row] = Cloud(vectors, label=labels[row], normals=normals)
                first += points.shape[0]
            if len(clouds) < len(labels):
                raise arrays.misfit(f"holds {first} clouds", "as many as when it was indexed")
        return [clouds[row.row] for row in rows]

    def _path(self, root: Path | None) -> Path:
        folder = require_root(root, self.kind)
        if self.file is not None:
            return folder / self.file
        found = sorted(folder.glob("*.npz"))
        if len(found) != 1:
            raise DataError(
                f"{folder} holds {len(found)} npz files.",
                expected="one, as `file` is not given",
                remedy="name the file in `file`",
            )
        return found[0]

    def _parts(self, arrays: ZippedArrays) -> dict[Split, ZippedArray]:
        """The arrays of clouds by split, or the only one, under `train`."""
        if PLACEHOLDER not in self.points:
            return {"train": self._clouds(arrays, self.points)}
        names: dict[Split, str] = {split: self._name(self.points, split) for split in SPLITS}
        present = {split: self._clouds(arrays, name) for split, name in names.items() if name in arrays}
        if not present:
            raise arrays.misfit(f"holds the arrays {sorted(arrays.names)}", f"one of {list(names.values())}")
        return present

    def _name(self, pattern: str, split: Split) -> str:
        """The name of an array, for this split where there is one for each."""
        return pattern.replace(PLACEHOLDER, self.split_values.of(split))

    def _clouds(self, arrays: ZippedArrays, name: str) -> ZippedArray:
        if self.occupancy:
            return require_grids(arrays, name)
        clouds = require_clouds(arrays, name, is_scaled=self.points_scale is not None)
        require_points(arrays.path, clouds.shape[1], self.num_points)
        return clouds

    def _class_names(self, arrays: ZippedArrays) -> tuple[str, ...]:
        if self.labels is not None and not (self.classes or self.class_names):
            raise arrays.misfit("has labels without names", "`classes` or `class_names` in the settings")
        return read_names(arrays, self.classes) if self.classes else self.class_names

    def _labels(
        self, arrays: ZippedArrays, split: Split, num_clouds: int, num_classes: int
    ) -> list[int] | list[None]:
        if self.labels is None:
            return [None] * num_clouds
        stored = arrays[self._name(self.labels, split)].whole()
        labels: list[int] = require_labels(stored, str(arrays.path), num_clouds, num_classes).tolist()
        return labels

    def _splits(self, arrays: ZippedArrays, split: Split, num_clouds: int) -> list[Split]:
        if self.split is None:
            return [split] * num_clouds
        split_of = {self.split_values.of(known): known for known in SPLITS}
        return read_splits(arrays, self.split, split_of, num_clouds)

    def _read_rows(
        self, arrays: ZippedArrays, split: Split, points: ZippedArray, numbers: list[int]
    ) -> Iterator[tuple[int, Vectors, Vectors | None]]:
        """Number, points and normals of these rows of a split, which rise."""
        scale = self.points_scale or 1.0
        scale = read_number(arrays, scale) if isinstance(scale, str) else scale
        normals: Iterator[np.ndarray | None] = repeat(None, len(numbers))
        if self.normals is not None:
            normals = require_normals(arrays, self._name(self.normals, split), points).rows(numbers)
        for number, row, directions in zip(numbers, points.rows(numbers), normals, strict=True):
            cloud = occupied_centres(row) if self.occupancy else row[: self.num_points] * scale
            vectors = to_y_up(cloud.astype(np.float32), self.up_axis)
            if directions is None:
                yield number, vectors, None
            else:
                unit = unit_normals(directions[: self.num_points], arrays.path)
                yield number, vectors, to_y_up(unit, self.up_axis)
