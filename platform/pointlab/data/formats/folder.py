"""Any folder of clouds, one a file: npy, npz, ply, pcd, las, laz, off, obj, stl, xyz, txt.

Classes and splits are the names of folders (`folder_layout`) or stand in a CSV file (`folder_csv`), which may
also name pictures of each cloud and say what it shows.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from pointlab import seeding
from pointlab.data.catalogue import UNKNOWN, Card
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.cloud_fields import PER_POINT, PerPoint, Shift
from pointlab.data.formats.cloud_files import EXTENSIONS, MESHES, Extension, read_cloud_file
from pointlab.data.formats.files import is_file, require_root
from pointlab.data.formats.folder_csv import NO_TABLE, CsvColumns, CsvTable, read_csv
from pointlab.data.formats.folder_layout import Layout, Listed, apply_layout, find_layout, list_files
from pointlab.data.formats.number_files import Column
from pointlab.data.formats.renderings import read_rendering, require_one_size
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow
from pointlab.errors import DataError

LACKING = {
    "cloud without a picture": "the table names none: kept without, and masked in training",
    "cloud without a caption": "the table has none: kept without, and masked in training",
}
"""What a cloud may lack that others of its set have, and what is done about it."""


class Folder(Source):
    """Clouds of a folder of the user's own, with classes by folder names or by a CSV file."""

    version: ClassVar[int] = 2
    to_give_pictures: ClassVar[str] = (
        "set data.source.csv to a table with a column picture, or name another in data.source.columns_of_csv"
    )
    to_give_captions: ClassVar[str] = (
        "set data.source.csv to a table with a column caption, or name another in data.source.columns_of_csv"
    )
    kind: Literal["folder"] = "folder"
    up_axis: UpAxis
    """Has no default: files do not say it, and a wrong one spoils every comparison."""
    extensions: tuple[Extension, ...] = EXTENSIONS
    """Files that are read, in upper or lower case; all that can be."""
    layout: Layout | Literal["auto"] = "auto"
    """auto finds it out, and is an error where two would fit, or where a CSV file may say it better."""
    csv: str | None = None
    """Name of a CSV file in the root, which then says what there is; null, folder names say it."""
    columns_of_csv: CsvColumns = CsvColumns()
    """As most such files call them."""
    class_names: tuple[str, ...] | None = None
    """Order of the classes, to number them as another set does; null, alphabetical."""
    part_names: tuple[str, ...] = ()
    """Names of the point labels, if the files hold any; numbers do without."""
    columns: tuple[Column, ...] | None = None
    """Columns of npy and text files, such as [x, y, z, _, label]; null, told from their number and values."""
    shift: Shift | None = None
    """Added to all coordinates, in the axes of the files, such as [-500000, -5400000, 0]; null, nothing: most
    clouds lie near the origin. Those that are so far away that float32 is too coarse are refused."""
    arrays: tuple[PerPoint, ...] = PER_POINT
    """What is read beside the points; all, where every file has it."""
    num_points: PositiveInt | None = 2048
    """Points drawn from the surface of a mesh, as in the releases of ModelNet. null takes its vertices, which
    alone have the colours and labels of a PLY file: right for reconstructed scenes."""
    origin: str = UNKNOWN.title
    """What the set is, and of whom: shown wherever it is used."""
    licence: str = UNKNOWN.licence
    """Its terms of use; not stated, unless the user does."""

    @property
    def gives_pictures(self) -> bool | None:
        """Perhaps, where a CSV file may have a column of them."""
        return None if self.csv is not None and self.columns_of_csv.picture is not None else False

    @property
    def gives_captions(self) -> bool | None:
        """Perhaps, where a CSV file may have a column of them."""
        return None if self.csv is not None and self.columns_of_csv.caption is not None else False

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all files, by names alone; DataError where the layout is not clear."""
        folder = require_root(root, self.kind)
        table = self._table(folder)
        listed = self._list(folder) if table is None else list(table.files)
        class_names = self._class_names({file.class_name for file in listed if file.class_name}, folder)
        numbers = {name: number for number, name in enumerate(class_names)}
        rows = [
            SourceRow(file.file, 0, file.split, numbers.get(file.class_name or ""), file.group)
            for file in listed
        ]
        pictures = {} if table is None else table.pictures
        require_one_size(folder / name for name in chain(*pictures.values()))
        only_meshes = all(Path(row.file).suffix.lower() in MESHES for row in rows)
        return SourceIndex(
            class_names=class_names,
            rows=tuple(rows),
            files=(
                *(row.file for row in rows),
                *([self.csv] if self.csv else []),
                *dict.fromkeys(chain(*pictures.values())),
            ),
            points_per_cloud=self.num_points if only_meshes else None,
            part_names=self.part_names,
            card=self._card(),
            is_grouped=any(row.group for row in rows),
            defects={} if table is None else _num_lacking(table),
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order; a draw from a mesh depends on its name in the set alone."""
        folder = require_root(root, self.kind)
        table = read_csv(folder, self.csv, self.columns_of_csv) if self.csv and rows else NO_TABLE
        return [self._read_cloud(folder, row, table) for row in rows]

    def _table(self, folder: Path) -> CsvTable | None:
        """What the CSV file says, if there is one; all files that it names are there."""
        if self.csv is None:
            return None
        table = read_csv(folder, self.csv, self.columns_of_csv)
        clouds = [file.file for file in table.files]
        _require_present(clouds, folder / self.csv, folder, "clouds", "take the rows out")
        pictures = dict.fromkeys(chain(*table.pictures.values()))
        otherwise = "set `columns_of_csv.picture` to null to go without pictures"
        _require_present(pictures, folder / self.csv, folder, "pictures", otherwise)
        return table

    def _list(self, folder: Path) -> list[Listed]:
        """What there is by the names of folders."""
        tables = sorted(path.name for path in folder.glob("*.csv"))
        if tables and self.layout == "auto":
            raise DataError(
                f"{folder} holds {tables[0]}, which may name classes and splits.",
                expected="to be told whether the table or the folders count",
                remedy=f"set csv: {tables[0]} to go by it, or layout to go by the folders",
            )
        files = list_files(folder, self.extensions)
        layout = find_layout(files, folder) if self.layout == "auto" else self.layout
        return apply_layout(files, layout, folder)

    def _class_names(self, found: set[str], folder: Path) -> tuple[str, ...]:
        """The classes in order; numbers are sorted as numbers."""
        if self.class_names is None:
            are_numbers = all(name.isdecimal() for name in found)
            return tuple(sorted(found, key=(lambda name: (int(name), name)) if are_numbers else None))
        unknown = sorted(found - set(self.class_names))
        if unknown:
            raise DataError(
                f"{folder / self.csv if self.csv else folder} has the class {unknown[0]!r}.",
                expected=f"one of `class_names`: {', '.join(self.class_names)}",
                remedy="correct the name, or add it to `class_names`",
            )
        return self.class_names

    def _card(self) -> Card:
        return replace(UNKNOWN, title=self.origin, licence=self.licence, known_defects=LACKING)

    def _read_cloud(self, folder: Path, row: SourceRow, table: CsvTable) -> Cloud:
        cloud = read_cloud_file(
            folder / row.file,
            self.num_points,
            seeding.generator(self.kind, row.file),
            columns=self.columns,
            arrays=self.arrays,
            shift=self.shift,
        )
        return replace(
            cloud,
            points=to_y_up(cloud.points, self.up_axis),
            normals=None if cloud.normals is None else to_y_up(cloud.normals, self.up_axis),
            label=row.label,
            caption=table.captions.get(row.file),
            views=tuple(read_rendering(folder / name) for name in table.pictures.get(row.file, ())),
        )


def _require_present(files: Collection[str], table: Path, folder: Path, what: str, otherwise: str) -> None:
    """DataError unless all of these files of the table are there."""
    absent = [file for file in files if not is_file(folder / file)]
    if absent:
        raise DataError(
            f"{table} names {len(absent)} {what} that are missing, first {absent[0]!r}.",
            expected="every file in its place below the root",
            remedy=f"check `root`, or {otherwise}",
        )


def _num_lacking(table: CsvTable) -> dict[str, int]:
    """How many clouds lack what others of the table have, by name."""
    num_clouds = len(table.files)
    num_named = dict(zip(LACKING, (len(table.pictures), len(table.captions)), strict=True))
    return {name: num_clouds - number for name, number in num_named.items() if 0 < number < num_clouds}
