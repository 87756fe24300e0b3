"""Folders and text lists of a dataset, opened with errors that say which file is wrong and what to do."""

from pathlib import Path, PurePosixPath

from pointlab.errors import DataError


def require_root(root: Path | None, kind: str) -> Path:
    """`root`, which is a folder; DataError where it is not given or does not exist."""
    if root is None:
        raise DataError(
            f"A dataset of kind {kind!r} has no root.",
            expected="the folder of the official release",
            remedy="set `root` to that folder",
        )
    if not root.is_dir():
        raise DataError(
            f"The root {root} of a dataset of kind {kind!r} is not a folder.",
            expected="the folder of the official release",
            remedy="check `root`, or download and unpack the release there",
        )
    return root


def require_file(path: Path) -> Path:
    """`path`, which is a file; DataError where it does not exist."""
    if not path.is_file():
        raise DataError(
            f"There is no file {path}.",
            expected="every file of the official release",
            remedy="check `root` and `kind`, or unpack the release again",
        )
    return path


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, stripped, without blank ones; at least one.

    Raises DataError for a file that is missing, is not text or has nothing in it.
    """
    try:
        lines = [line.strip() for line in require_file(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as text: {error}.",
            expected="a readable UTF-8 text file",
            remedy="check its permissions, or download it again",
        ) from None
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path} is empty.", expected="at least one line", remedy="download it again")
    return lines


def read_lists(*paths: Path) -> list[list[str]]:
    """Base names listed in each text file, one a line; a folder in front of a name is dropped.

    Raises DataError where a name occurs twice, in one list or in two: a cloud in both the training and
    the test split would spoil every figure.
    """
    listed_in: dict[str, Path] = {}
    lists = [[PurePosixPath(line).name for line in read_lines(path)] for path in paths]
    for path, names in zip(paths, lists, strict=True):
        for name in names:
            if name in listed_in:
                raise DataError(
                    f"{path} lists {name!r}, which {listed_in[name]} lists already.",
                    expected="every name once over all lists",
                    remedy="restore the lists of the official release",
                )
            listed_in[name] = path
    return lists
