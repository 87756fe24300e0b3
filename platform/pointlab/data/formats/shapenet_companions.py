"""Pictures and texts of ShapeNet-style objects, looked for where they usually lie.

Only for `pointlab data detect`, which proposes settings: whoever prepares a set says what it reads.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from pointlab.data.formats.picture_patterns import find_pictures
from pointlab.data.formats.shapenet_texts import read_texts, text_of
from pointlab.errors import DataError

EXTENSIONS = ("png", "jpg", "jpeg")
NAMES = ("{synset}-{model}.", "{model}.", "{synset}/{model}.", "{synset}/{model}/*.", "{model}/*.")
"""What objects' pictures are called within their folder, one of each object before several of it."""


def companions(folder: Path, objects: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """The pattern of `pictures` and the file of `captions` that have something of these objects, if any."""
    found = {"pictures": _pattern(folder, objects), "captions": _texts(folder, objects)}
    return {name: value for name, value in found.items() if value is not None}


def _pattern(folder: Path, objects: Sequence[tuple[str, str]]) -> str | None:
    inside = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _is_plain(entry.name))
    for name, form, extension in product(inside, NAMES, EXTENSIONS):
        pattern = f"{name}/{form}{extension}"
        if any(find_pictures(folder, pattern, *each) for each in objects):
            return pattern
    return None


def _is_plain(name: str) -> bool:
    """Whether a folder's name means itself within a pattern."""
    return not set(name) & set("{}[]*?")


def _texts(folder: Path, objects: Sequence[tuple[str, str]]) -> str | None:
    for path in sorted(folder.glob("*.json")):
        try:
            texts = read_texts(path)
        except DataError:
            continue
        if any(text_of(texts, *each) for each in objects):
            return path.name
    return None
