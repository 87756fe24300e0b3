"""Rows read file by file: each file is opened once, whatever the order in which its rows are wanted."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from pointlab.data.sample import Cloud
from pointlab.data.source import SourceRow
from pointlab.errors import DataError


def read_by_file(
    rows: Sequence[SourceRow], read_file: Callable[[str, list[SourceRow]], list[Cloud]]
) -> list[Cloud]:
    """The clouds of `rows`, in their order; `read_file` returns those of one file, in the order given."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.file].append(place)
    clouds: dict[int, Cloud] = {}
    for file, wanted in places.items():
        found = read_file(file, [rows[place] for place in wanted])
        clouds.update(zip(wanted, found, strict=True))
    return [clouds[place] for place in range(len(rows))]


def require_rows(path: Path, num_clouds: int, rows: Sequence[SourceRow]) -> None:
    """DataError unless all of `rows` are among the `num_clouds` that the file holds."""
    last = max((row.row for row in rows), default=-1)
    if last >= num_clouds:
        raise DataError(
            f"{path} holds {num_clouds} clouds.",
            expected=f"at least {last + 1}, as indexed before",
            remedy="the file has changed since: index the dataset again",
        )
