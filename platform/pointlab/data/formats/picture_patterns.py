"""Pictures of an object, found by a pattern such as `rendering/{synset}/{model}/*.png`.

Folders are listed rather than asked for each file: one folder may hold the pictures of all objects, on a
network drive.
"""

import re
from bisect import bisect_left
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape
from pathlib import Path, PurePosixPath
from string import Formatter

from pointlab.data.formats.parsing import is_below

WILD = re.compile(r"[*?\[]")
FIELDS = ("synset", "model")
LAST = "\U0010ffff"
"""Sorts behind every letter of a name."""
FOLDERS_KEPT = 256
"""Shards mix the categories, so each of the 55 folders is wanted again and again; few sets have more."""


def require_pattern(pattern: str) -> str:
    """The pattern, if it names files below a folder that differ from object to object; else ValueError."""
    try:
        fields = [parsed[1:] for parsed in Formatter().parse(pattern) if parsed[1] is not None]
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None
    names = {name for name, _, _ in fields}
    if "model" not in names or not names <= set(FIELDS):
        raise ValueError(
            f"{pattern!r} should name an object by {{model}}, perhaps {{synset}}, and nothing else"
        )
    if any(form or conversion for _, form, conversion in fields):
        raise ValueError(f"{pattern!r} should have {{model}} and {{synset}} as they are, without ':' or '!'")
    if WILD.search(str(PurePosixPath(require_below(pattern)).parent)):
        raise ValueError(f"{pattern!r} has a wildcard in a folder's name: only a file's may have some")
    return pattern


def require_below(text: str) -> str:
    """The path, if it cannot lead out of the root of a set; else ValueError."""
    if not is_below(text):
        raise ValueError(f"{text!r} should lie below the root of the set, without '..'")
    return text


def find_pictures(root: Path, pattern: str, synset: str, model: str) -> list[str]:
    """The object's pictures that there are, relative to `root`, sorted by name."""
    path = PurePosixPath(pattern)
    parent = str(path.parent).format(synset=synset, model=model)
    wanted = path.name.format(synset=escape(synset), model=escape(model))
    names = _names(root / parent)
    certain = WILD.split(wanted, maxsplit=1)[0]  # all that begins so lies together
    alike = names[bisect_left(names, certain) : bisect_left(names, certain + LAST)]
    return [str(PurePosixPath(parent) / name) for name in alike if fnmatchcase(name, wanted)]


def _names(folder: Path) -> tuple[str, ...]:
    """Sorted names of all that lies in the folder; none where there is no such folder."""
    try:
        return _names_at(folder, folder.stat().st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return ()


@lru_cache(maxsize=FOLDERS_KEPT)
def _names_at(folder: Path, changed: int) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(sorted(entry.name for entry in folder.iterdir()))
