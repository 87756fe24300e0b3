"""What is said of ShapeNet's objects: a JSON file with a text for each object, or for each category.

Either {"<synset>-<model>" or "<model>" or "<synset>": text, ...}, or ReCon's list of texts by category.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from pointlab.data.formats.files import read_text_file, require_file
from pointlab.data.formats.json_files import read_json
from pointlab.errors import DataError


class CategoryText(BaseModel):
    """A row of shapenet55.json; as for the release's own reader, it may have further fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    catalogue: NonNegativeInt | Annotated[str, Field(pattern="^[0-9]+$")]
    """The synset as a number, without its leading zero, or as its digits."""
    describe: str
    """What is said of its shapes."""


def read_texts(path: Path) -> Mapping[str, str]:
    """Text by object or category; DataError where a category has two.

    A file is read again only when it has changed: it may tell of all objects, and is wanted for a few.
    """
    return _read_at(path, require_file(path).stat().st_mtime_ns)


def text_of(texts: Mapping[str, str], synset: str, model: str) -> str | None:
    """What is said of this object, or else of its category; a text of blanks says nothing."""
    keys = (f"{synset}-{model}", model, synset)
    return next((texts[key] for key in keys if texts.get(key, "").strip()), None)


@lru_cache(maxsize=1)
def _read_at(path: Path, changed: int) -> Mapping[str, str]:  # noqa: ARG001
    if not read_text_file(path).lstrip().startswith("["):
        found: dict[str, str] = read_json(path, dict[str, str])
        return found
    texts: dict[str, str] = {}
    for row in read_json(path, list[CategoryText]):
        synset = f"{int(row.catalogue):08d}"
        if texts.setdefault(synset, row.describe) != row.describe:
            raise DataError(
                f"{path} has two texts of {synset}.",
                expected="one text for each category",
                remedy="restore the file of the release",
            )
    return texts
