"""The text of each ShapeNet category, as ReCon gives it: one for all shapes of a synset."""

from collections.abc import Collection
from pathlib import Path

from pointlab.config import StrictModel
from pointlab.data.formats.json_files import read_json
from pointlab.errors import DataError


class CategoryText(StrictModel):
    """A row of shapenet55.json."""

    catalogue: int
    """The synset as a number, without its leading zero."""
    describe: str
    """What is said of its shapes."""


def read_texts(path: Path, synsets: Collection[str] = ()) -> dict[str, str]:
    """Text by synset; DataError where one of `synsets` has none, or any has two."""
    texts: dict[str, str] = {}
    for row in read_json(path, list[CategoryText]):
        synset = f"{row.catalogue:08d}"
        if texts.setdefault(synset, row.describe) != row.describe:
            raise _unfit(path, f"two texts of {synset}")
    missing = sorted(set(synsets) - set(texts))
    if missing:
        raise _unfit(path, f"no text of {missing[0]} and {len(missing) - 1} other categories")
    return texts


def _unfit(path: Path, found: str) -> DataError:
    return DataError(
        f"{path} has {found}.",
        expected="one text for each category",
        remedy="restore the file of the release",
    )
