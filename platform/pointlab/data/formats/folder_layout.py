"""Classes and splits of a folder of clouds, by the names of the folders in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pointlab.data.source import Split
from pointlab.errors import DataError

Layout = Literal["class/split", "split/class", "class", "split", "flat"]
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Names, in lower case, by which folders and lists call the splits."""
DEPTHS: dict[Layout, int] = {"class/split": 2, "split/class": 2, "class": 1, "split": 1, "flat": 0}
"""Folders between the root and the files."""


@dataclass(frozen=True)
class Listed:
    """A file of a folder, relative to it, with what is known of it from names."""

    file: str
    split: Split
    class_name: str | None
    group: str = ""


def list_files(root: Path, extensions: Sequence[str]) -> list[PurePosixPath]:
    """All files below `root` with these extensions (in lower case), sorted; hidden ones are passed over."""
    found = [path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in extensions]
    visible = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    files = sorted(PurePosixPath(path) for path in visible if (root / path).is_file())
    if not files:
        raise DataError(
            f"{root} holds no files of the kinds {', '.join(extensions)}.",
            expected="at least one cloud",
            remedy="check `root` and `extensions`",
        )
    return files


def find_layout(files: Sequence[PurePosixPath], root: Path) -> Layout:
    """How the folders of `files` are laid out; DataError, which says why, where that is not clear."""
    by_depth = {len(file.parts) - 1: file for file in files}
    if len(by_depth) > 1:
        examples = " and ".join(str(file) for _, file in sorted(by_depth.items()))
        raise _ambiguous(root, f"files at different depths, such as {examples}")
    (depth,) = by_depth
    if depth == 0:
        return "flat"
    levels = [{file.parts[level].lower() in SPLIT_FOLDERS for file in files} for level in range(depth)]
    if depth == 1 and levels[0] != {True, False}:
        return "split" if levels[0] == {True} else "class"
    if depth == 2 and levels in ([{True}, {False}], [{False}, {True}]):
        return "split/class" if levels[0] == {True} else "class/split"
    raise _ambiguous(
        root, f"files such as {files[0]}, in folders of which some are called like splits or none"
    )


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
