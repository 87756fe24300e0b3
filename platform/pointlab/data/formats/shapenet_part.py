"""ShapeNetPart: shapes of 16 categories as text, each point with a normal and the part it lies on.

Yi et al., 2016, in the form of PointNet++, `shapenetcore_partanno_segmentation_benchmark_v0_normal`:

    synsetoffset2category.txt             a category a line, "Airplane 02691156"; a label is a line number
    train_test_split/shuffled_{train,val,test}_file_list.json     ["shape_data/02691156/<id>", ...]
    02691156/<id>.txt                     rows of xyz, normal, global part id (0 to 49)
    part_names.json                       not in the release: {"part_names": [...]}, in the order of the ids

Any set in this layout can be read; one of other categories needs part_names.json.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import PositiveInt

from pointlab.data.catalogue import UNKNOWN
from pointlab.data.catalogue.objects import SHAPENET_PART
from pointlab.data.catalogue.shapenet import PART_COUNTS, PART_NAMES
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.files import read_lines, require_root
from pointlab.data.formats.json_files import read_json
from pointlab.data.formats.text_tables import read_table
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

CATEGORIES, PARTS = "synsetoffset2category.txt", "part_names.json"
LISTS: dict[Split, str] = {
    "train": "train_test_split/shuffled_train_file_list.json",
    "validation": "train_test_split/shuffled_val_file_list.json",
    "test": "train_test_split/shuffled_test_file_list.json",
}
COLUMNS = "x y z nx ny nz part"


class ShapeNetPart(Source):
    """Clouds with normals and parts of a folder in the layout of ShapeNetPart, in its own units."""

    kind: Literal["shapenet_part"] = "shapenet_part"
    up_axis: UpAxis = "y"
    """As in the official files."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud; None, as released: all."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all listed shapes; only the lists are read and the category folders are looked into."""
        folder = require_root(root, self.kind)
        categories = _read_categories(folder / CATEGORIES)
        rows = _read_splits(folder, list(categories.values()))
        part_names = _read_part_names(folder, tuple(categories))
        has_names = (folder / PARTS).is_file()
        return SourceIndex(
            class_names=tuple(categories),
            rows=tuple(rows),
            files=(CATEGORIES, *LISTS.values(), *([PARTS] if has_names else []), *(row.file for row in rows)),
            points_per_cloud=self.num_points,
            part_names=part_names,
            card=SHAPENET_PART if tuple(categories) == tuple(PART_COUNTS) else UNKNOWN,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with normals and global part ids."""
        folder = require_root(root, self.kind)
        num_parts = len(_read_part_names(folder, tuple(_read_categories(folder / CATEGORIES))))
        return [self._read_cloud(folder / row.file, row.label, num_parts) for row in rows]

    def _read_cloud(self, path: Path, label: int | None, num_parts: int) -> Cloud:
        values = read_table(path, (7,), COLUMNS, self.num_points)
        points, normals = to_y_up(values[:, :3], self.up_axis), to_y_up(values[:, 3:6], self.up_axis)
        return Cloud(
            np.ascontiguousarray(points),
            label=label,
            normals=np.ascontiguousarray(normals),
            point_labels=_require_parts(values[:, 6], path, num_parts),
        )


def _read_categories(path: Path) -> dict[str, str]:
    """Folder of each category by its name, in the order of the labels."""
    pairs = [line.split() for line in read_lines(path)]
    bad = [pair for pair in pairs if len(pair) != 2]
    categories = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    if bad or len(categories) < len(pairs) or len(set(categories.values())) < len(pairs):
        raise DataError(
            f"{path} has {'the line ' + repr(' '.join(bad[0])) if bad else 'a category or folder twice'}.",
            expected="lines such as 'Airplane 02691156', each name and each folder once",
            remedy="restore the file of the release",
        )
    return categories


def _read_splits(folder: Path, synsets: list[str]) -> list[SourceRow]:
    """A row for every listed shape; DataError for one that is listed twice, of no category, or not there."""
    folders = [folder / name for name in synsets if (folder / name).is_dir()]
    files = {f"{parent.name}/{path.name}" for parent in folders for path in parent.iterdir()}
    rows: dict[str, SourceRow] = {}
    for split, name in LISTS.items():
        for entry in read_json(folder / name, list[str]):
            shape = PurePosixPath(entry)
            file = f"{shape.parent.name}/{shape.name}.txt"
            if file in rows or file not in files:
                problem = "lists twice" if file in rows else "lists, without a file of a category,"
                raise DataError(
                    f"{folder / name} {problem} {entry!r}.",
                    expected="entries such as shape_data/02691156/<shape>, each once over all lists, of a"
                    f" category in {CATEGORIES}, and with its file",
                    remedy="unpack the release again",
                )
            rows[file] = SourceRow(file, 0, split, synsets.index(shape.parent.name))
    return list(rows.values())


def _read_part_names(folder: Path, categories: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the parts by their ids: the set's own, or those of the official categories."""
    has_file = (folder / PARTS).is_file()
    names = read_json(folder / PARTS, dict[str, list[str]]).get("part_names", []) if has_file else []
    if names:
        return tuple(names)
    if categories == tuple(PART_COUNTS) and not has_file:
        return PART_NAMES
    found = f"a {PARTS} without names" if has_file else f"other categories than the official, and no {PARTS}"
    raise DataError(
        f"{folder} holds {found}.",
        expected=f'{PARTS} with the names of the parts by their ids, {{"part_names": ["Chair:leg", ...]}}',
        remedy="write that file, or restore it",
    )


def _require_parts(
    values: Float32[np.ndarray, " points"], path: Path, num_parts: int
) -> Int64[np.ndarray, " points"]:
    """The part ids; DataError unless they are whole numbers of known parts."""
    bad = np.flatnonzero(~((values >= 0) & (values < num_parts) & (values == np.floor(values))))
    if bad.size:
        raise DataError(
            f"{path} has part {values[bad[0]]:g} in row {bad[0]}.",
            expected=f"whole numbers from 0 to {num_parts - 1}",
            remedy=f"unpack this file again, or check {PARTS}",
        )
    return values.astype(np.int64)
