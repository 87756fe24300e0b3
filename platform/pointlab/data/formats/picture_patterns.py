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

WILD = re.compile(r"[*?\[]")
FIELDS = ("synset", "model")
LAST = "\U0010ffff"
"""Sorts behind every letter of a name."""


def require_pattern(pattern: str) -> str:
    """The pattern, if it names files below a folder that differ from object to object; else ValueError."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None
    if "model" not in fields or not set(fields) <= set(FIELDS):
        raise ValueError(
            f"{pattern!r} should name an object by {{model}}, perhaps {{synset}}, and nothing else"
        )
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{pattern!r} should lie below the root of the set, without '..'")
    if WILD.search(str(path.parent)):
        raise ValueError(f"{pattern!r} has a wildcard in a folder's name: only a file's may have some")
    return pattern


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


@lru_cache(maxsize=1)
def _names_at(folder: Path, changed: int) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(sorted(entry.name for entry in folder.iterdir()))
