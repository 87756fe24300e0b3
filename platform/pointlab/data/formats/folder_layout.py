"""Classes and splits of a folder of clouds, by the names of the folders in it."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pointlab.data.source import Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
Layout = Literal["class/split", "split/class", "class", "split", "flat"]
SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "te"), "test"),
}
"""Names, in lower case, by which folders and lists call the splits."""
DEPTHS: dict[Layout, int] = {"class/split": 2, "split/class": 2, "class": 1, "split": 1, "flat": 0}
"""Folders between the root and the files."""
NOTES = (
    "readme",
    "license",
    "licence",
    "classes",
    "class_names",
    "categories",
    "labels",
    "notes",
    "changelog",
)
"""Names of text files about a set, without extension."""
FIRST_LINES, FIRST_LETTERS = 50, 4096
"""How far into a text file a row of numbers is looked for."""


@dataclass(frozen=True)
class Listed:
    """A file of a folder, relative to it, with what is known of it from names."""

    file: str
    split: Split
    class_name: str | None
    group: str = ""


def list_files(root: Path, extensions: Sequence[str]) -> list[PurePosixPath]:
    """All files below `root` with these extensions (in lower case), sorted.

    Hidden ones are passed over, and texts about the set (`_is_note`), which are logged.
    """
    found = [path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in extensions]
    visible = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    files = sorted(PurePosixPath(path) for path in visible if (root / path).is_file())
    files = _without_notes(files, root)
    if not files:
        raise DataError(
            f"{root} holds no files of the kinds {', '.join(extensions)}.",
            expected="at least one cloud",
            remedy="check `root` and `extensions`",
        )
    return files


def _without_notes(files: Sequence[PurePosixPath], root: Path) -> list[PurePosixPath]:
    depth = max((len(file.parts) for file in files), default=0)
    notes = {file for file in files if _is_note(file, root, depth)}
    if notes:
        logger.info("%s: passed over, as no clouds: %s", root, ", ".join(sorted(map(str, notes))))
    return [file for file in files if file not in notes]


def _is_note(file: PurePosixPath, root: Path, depth: int) -> bool:
    """Whether a txt file is about the set: outside its folders or named so, and no row of three numbers.

    Any other text without numbers may be a damaged cloud, which must not be lost in silence.
    """
    is_outside = len(file.parts) == 1 < depth
    if file.suffix.lower() != ".txt" or not (is_outside or file.stem.lower() in NOTES):
        return False
    try:
        with (root / file).open(encoding="utf-8-sig", errors="replace") as text:
            return not any(_is_row(text.readline(FIRST_LETTERS)) for _ in range(FIRST_LINES))
    except OSError:
        return False  # which reading it will say


def _is_row(line: str) -> bool:
    words = re.split(r"[\s,;]+", line.strip())
    try:
        return len([float(word) for word in words]) >= 3
    except ValueError:
        return False


def find_layout(files: Sequence[PurePosixPath], root: Path) -> Layout:
    """How the folders of `files` are laid out; DataError, which says why, where that is not clear."""
    by_depth = {len(file.parts) - 1: file for file in files}
    if len(by_depth) > 1:
        examples = " and ".join(str(file) for _, file in sorted(by_depth.items()))
        raise _ambiguous(root, f"files at different depths, such as {examples}")
    (depth,) = by_depth
    if depth == 0:
        return "flat"
    levels = [{file.parts[level] for file in files} for level in range(depth)]
    are_splits = [{name.lower() in SPLIT_FOLDERS for name in names} for names in levels]
    found: dict[tuple[bool, ...], Layout] = {
        (True,): "split",
        (False,): "class",
        (True, False): "split/class",
        (False, True): "class/split",
    }
    layout = found.get(tuple(each == {True} for each in are_splits))
    if layout is None or {True, False} in are_splits:
        raise _ambiguous(root, _mixture(files[0], levels))
    for names, (is_split,) in zip(levels, are_splits, strict=True):
        (_require_one_spelling if is_split else _require_classes)(names, root)
    return layout


def _mixture(example: PurePosixPath, levels: Sequence[set[str]]) -> str:
    """What was found, in words: a file, and the folders called like splits."""
    splits = sorted({name for names in levels for name in names if name.lower() in SPLIT_FOLDERS})
    called = f"of which {', '.join(splits)} are called like splits" if splits else "none called like a split"
    return f"files such as {example}, in folders {called}"


def _require_one_spelling(names: set[str], root: Path) -> None:
    """DataError where two words stand for one split, such as val and dev: they may mean different things."""
    words: dict[Split, str] = {}
    for word in sorted({name.lower() for name in names}):
        first = words.setdefault(SPLIT_FOLDERS[word], word)
        if first != word:
            raise _ambiguous(root, f"folders {first} and {word}, which both are {SPLIT_FOLDERS[word]}")


def _require_classes(names: set[str], root: Path) -> None:
    """DataError for a class whose name has a split's in it, such as train_set."""
    for name in sorted(names):
        if set(re.split(r"[^a-z]+", name.lower())) & set(SPLIT_FOLDERS):
            raise _ambiguous(root, f"a folder {name}, which may be a split or a class")


def _ambiguous(root: Path, found: str) -> DataError:
    return DataError(
        f"The layout of {root} is ambiguous: {found}.",
        expected="one of <class>/<split>/<file>, <split>/<class>/<file>, <class>/<file>, <split>/<file> or"
        f" <file> throughout, with splits called {', '.join(SPLIT_FOLDERS)}",
        remedy="set `layout`, limit the files by `extensions`, or give a `csv` with path, label and split",
    )


def apply_layout(files: Sequence[PurePosixPath], layout: Layout, root: Path) -> list[Listed]:
    """The files with their classes and splits; all are for training where no folder names a split."""
    levels = layout.split("/")
    listed = []
    for file in files:
        if len(file.parts) - 1 != DEPTHS[layout]:
            raise DataError(
                f"{root / file} lies {len(file.parts) - 1} folders deep.",
                expected=f"{DEPTHS[layout]}, for the layout {layout!r}",
                remedy="check `layout`, or limit the files by `extensions`",
            )
        named = dict(zip(levels, file.parts[:-1], strict=False))
        split = find_split(named["split"], str(root / file)) if "split" in named else "train"
        listed.append(Listed(str(file), split, named.get("class")))
    return listed


def find_split(name: str, origin: str) -> Split:
    """The split called `name`; DataError, which says where the name was met, if it is none."""
    split = SPLIT_FOLDERS.get(name.strip().lower())
    if split is None:
        raise DataError(
            f"{origin} is of a split called {name!r}.",
            expected=f"one of {', '.join(SPLIT_FOLDERS)}",
            remedy="rename the split",
        )
    return split
