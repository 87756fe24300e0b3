"""A folder of clouds by a CSV file: a row a cloud, with path and class, perhaps pictures and a caption."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from pointlab.config import ADDED_LATER, StrictModel
from pointlab.data.formats.files import read_text_file
from pointlab.data.formats.folder_layout import Listed, find_split
from pointlab.data.formats.parsing import path_below
from pointlab.data.source import Split
from pointlab.errors import DataError

DELIMITERS = ",;\t"
BETWEEN_PICTURES = "|"
"""Which no name of a file has, and no CSV file takes for a delimiter here."""
OPTIONAL = ("split", "group", "caption", "picture")
"""The columns that may be absent under their usual names."""


class CsvColumns(StrictModel):
    """Which column of the CSV file holds what, in upper or lower case.

    An optional column that has its usual name here and is not there is passed over; any other must exist.
    """

    path: str = "path"
    """Relative to the root."""
    label: str | None = "label"
    """Name of the class; null for clouds without classes, which suffice to pretrain on."""
    split: str | None = "split"
    """train, validation or test, or what else folders call them; without it all rows are for training."""
    group: str | None = "group"
    """What belongs together and must not lie in two splits; null where it may."""
    caption: str | None = "caption"
    """Text about the cloud."""
    picture: str | None = Field(default="picture", json_schema_extra=ADDED_LATER)
    """Its picture, relative to the root, or several with | between them; all of a set have one size."""

    def required(self) -> list[str]:
        """The columns that must exist: what names a cloud, and what was given a name of its own."""
        usual = CsvColumns()
        named = [getattr(self, name) for name in OPTIONAL if getattr(self, name) != getattr(usual, name)]
        return [name for name in (self.path, self.label, *named) if name is not None]


@dataclass(frozen=True)
class CsvTable:
    """The rows of the file, as files of the folder, with captions and pictures of those that have some."""

    files: tuple[Listed, ...]
    captions: Mapping[str, str]
    pictures: Mapping[str, tuple[str, ...]]


NO_TABLE = CsvTable((), {}, {})
"""Of a folder without such a file."""


def read_csv(root: Path, name: str, columns: CsvColumns) -> CsvTable:
    """Rows of the CSV file `name` in `root`; DataError names the file and the line of what is wrong."""
    path = root / name
    files: dict[str, Listed] = {}
    captions: dict[str, str] = {}
    pictures: dict[str, tuple[str, ...]] = {}
    split_of_group: dict[str, Split] = {}
    for number, row in _read_rows(path, columns):
        origin = f"Line {number} of {path}"
        listed = _listed(row, columns, origin)
        if listed.file in files:
            raise _wrong(
                origin, f"names {listed.file!r} again", "every cloud once", "take one of the rows out"
            )
        files[listed.file] = listed
        first = split_of_group.setdefault(listed.group, listed.split) if listed.group else listed.split
        if first != listed.split:
            raise _wrong(
                origin,
                f"has group {listed.group!r} in {listed.split}, which is also in {first}",
                "every group in one split, or what was trained on is tested on",
                "mend the splits, or set `columns_of_csv.group` to null if groups mean something else",
            )
        if caption := _field(row, columns.caption):
            captions[listed.file] = caption
        if shown := _pictures(_field(row, columns.picture) or "", origin):
            pictures[listed.file] = shown
    return CsvTable(tuple(files.values()), captions, pictures)


def _read_rows(path: Path, columns: CsvColumns) -> list[tuple[int, dict[str, str]]]:
    """The fields of every row by the folded name of their column, and the line that the row begins in."""
    records = _read_records(path)
    _, first = next(records, (1, []))
    header = [_folded(name) for name in first]
    _check_header(header, path, columns)
    rows = []
    for number, fields in records:
        if len(fields) != len(header):
            found = "has more or fewer fields than the header"
            raise _wrong(f"Line {number} of {path}", found, f"{len(header)} fields", "mend it")
        rows.append((number, dict(zip(header, fields, strict=True))))
    if not rows:
        raise _wrong(str(path), "has a header and no rows", "a row for each cloud", "check `csv`")
    return rows


def _read_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, and the line that it begins in; quoted fields keep their line breaks."""
    text = read_text_file(path)
    if not text.strip():
        raise _wrong(str(path), "is empty", "a header and a row for each cloud", "check `csv`")
    delimiter = max(DELIMITERS, key=text.lstrip().splitlines()[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for fields in reader:
            if any(map(str.strip, fields)):
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        found = f"is not CSV from line {begin} on: {error}"
        raise _wrong(str(path), found, "a CSV file", "export it anew") from None


def _check_header(header: list[str], path: Path, columns: CsvColumns) -> None:
    """DataError where a column occurs twice, or one that is needed does not."""
    repeated = [name for name, count in Counter(header).items() if name and count > 1]
    if repeated:
        found = f"has the column {repeated[0]!r} more than once"
        raise _wrong(str(path), found, "every name once, whatever its case", "rename or remove one")
    missing = [name for name in columns.required() if _folded(name) not in header]
    if missing:
        found = f"has the columns {header}"
        raise _wrong(str(path), found, f"a column {missing[0]!r}", "rename one, or set `columns_of_csv`")


def _folded(name: str) -> str:
    return name.strip().casefold()


def _field(row: Mapping[str, str], column: str | None) -> str | None:
    """What stands in `column`, without blanks around it; None where there is no such column."""
    text = None if column is None else row.get(_folded(column))
    return None if text is None else text.strip()


def _listed(row: Mapping[str, str], columns: CsvColumns, origin: str) -> Listed:
    """The cloud of a row."""
    file = path_below(_field(row, columns.path) or "", origin)
    label = _field(row, columns.label)
    if columns.label is not None and not label:
        remedy = (
            "write one, take the row out, or set `columns_of_csv.label` to null for clouds without classes"
        )
        raise _wrong(origin, "has no label", "the name of a class", remedy)
    split = _field(row, columns.split)
    return Listed(
        str(file),
        "train" if split is None else find_split(split, origin),
        label,
        _field(row, columns.group) or "",
    )


def _pictures(text: str, origin: str) -> tuple[str, ...]:
    """The pictures that a field names, in its order."""
    named = [name.strip() for name in text.split(BETWEEN_PICTURES) if name.strip()]
    files = tuple(str(path_below(name, origin)) for name in named)
    if len(set(files)) < len(files):
        raise _wrong(origin, "names a picture twice", "every picture of a cloud once", "take one of them out")
    return files


def _wrong(origin: str, found: str, expected: str, remedy: str) -> DataError:
    return DataError(f"{origin} {found}.", expected=expected, remedy=remedy)
