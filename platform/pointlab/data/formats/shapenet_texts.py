"""What is said of ShapeNet's objects: a JSON file with a text for each object, or for each category.

Either {"<synset>-<model>" or "<model>" or "<synset>": text, ...}, or ReCon's list of texts by category.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pointlab.config import StrictModel
from pointlab.data.formats.files import require_file
from pointlab.data.formats.json_files import read_json
from pointlab.errors import DataError


class CategoryText(StrictModel):
    """A row of shapenet55.json."""

    catalogue: int
    """The synset as a number, without its leading zero."""
    describe: str
    """What is said of its shapes."""


def read_texts(path: Path) -> Mapping[str, str]:
    """Text by object or category; DataError where a category has two.

    A file is read again only when it has changed: it may tell of all objects, and is wanted for a few.
    """
    return _read_at(path, require_file(path).stat().st_mtime_ns)


def text_of(texts: Mapping[str, str], synset: str, model: str) -> str | None:
    """What is said of this object, or else of its category."""
    keys = (f"{synset}-{model}", model, synset)
    return next((texts[key] for key in keys if texts.get(key)), None)


@lru_cache(maxsize=1)
def _read_at(path: Path, changed: int) -> Mapping[str, str]:  # noqa: ARG001
    content = read_json(path, Any)
    if not isinstance(content, list):
        found: dict[str, str] = read_json(path, dict[str, str])
        return found
    texts: dict[str, str] = {}
    for row in read_json(path, list[CategoryText]):
        synset = f"{row.catalogue:08d}"
        if texts.setdefault(synset, row.describe) != row.describe:
            raise DataError(
                f"{path} has two texts of {synset}.",
                expected="one text for each category",
                remedy="restore the file of the release",
            )
    return texts
