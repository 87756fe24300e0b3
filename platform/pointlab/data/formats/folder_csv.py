"""Labels of a folder of clouds by a CSV file: a row a cloud, with its path, its class and more."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pointlab.config import StrictModel
from pointlab.data.formats.files import read_lines
from pointlab.data.formats.folder_layout import Listed, find_split
from pointlab.data.formats.parsing import path_below
from pointlab.data.source import Split
from pointlab.errors import DataError

DELIMITERS = ",;\t"


class CsvColumns(StrictModel):
    """Which column of the CSV file holds what; an optional one that is not there is passed over."""

    path: str = "path"
    """Relative to the root."""
    label: str = "label"
    """Name of the class."""
    split: str | None = "split"
    """train, val, valid, validation or test; without it all rows are for training."""
    group: str | None = "group"
    """What belongs together and must not lie in two splits; null where it may."""
    caption: str | None = "caption"
    """Text about the cloud."""


@dataclass(frozen=True)
class CsvTable:
    """The rows of the file, as files of the folder and their captions."""

    files: tuple[Listed, ...]
    captions: Mapping[str, str]


def read_csv(root: Path, name: str, columns: CsvColumns) -> CsvTable:
    """Rows of the CSV file `name` in `root`; DataError names the file and the line of what is wrong."""
    path = root / name
    files: dict[str, Listed] = {}
    captions = {}
    split_of_group: dict[str, Split] = {}
    for number, row in enumerate(_read_rows(path, columns), start=2):
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
        if columns.caption is not None and row.get(columns.caption):
            captions[listed.file] = row[columns.caption].strip()
    return CsvTable(tuple(files.values()), captions)


def _read_rows(path: Path, columns: CsvColumns) -> list[dict[str, str]]:
    lines = read_lines(path)
    lines[0] = lines[0].removeprefix("\ufeff")  # which spreadsheets write in front
    delimiter = max(DELIMITERS, key=lines[0].count)
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise _wrong(str(path), f"is not CSV: {error}", "a CSV file", "export it anew") from None
    missing = [name for name in (columns.path, columns.label) if name not in (reader.fieldnames or ())]
    if missing:
        found = f"has the columns {reader.fieldnames}"
        raise _wrong(str(path), found, f"a column {missing[0]!r}", "rename it, or set `columns_of_csv`")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            found = "has more or fewer fields than the header"
            raise _wrong(
                f"Line {number} of {path}", found, f"{len(reader.fieldnames or ())} fields", "mend it"
            )
    if not rows:
        raise _wrong(str(path), "has a header and no rows", "a row for each cloud", "check `csv`")
    return rows


def _listed(row: Mapping[str, str], columns: CsvColumns, origin: str) -> Listed:
    """The cloud of a row."""
    file, label = path_below(row[columns.path].strip(), origin), row[columns.label].strip()
    if not label:
        raise _wrong(origin, "has no label", "the name of a class", "write one, or take the row out")
    split = row.get(columns.split) if columns.split else None
    return Listed(
        str(file),
        "train" if split is None else find_split(split, origin),
        label,
        (row.get(columns.group) or "").strip() if columns.group else "",
    )


def _wrong(origin: str, found: str, expected: str, remedy: str) -> DataError:
    return DataError(f"{origin} {found}.", expected=expected, remedy=remedy)
