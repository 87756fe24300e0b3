"""Folders and text lists of a dataset, opened with errors that say which file is wrong and what to do."""

from pathlib import Path, PurePosixPath

from pointlab.errors import DataError


def require_root(root: Path | None, kind: str) -> Path:
    """`root`, which is a folder; DataError where it is not given or does not exist."""
    if root is None:
        raise DataError(
            f"A dataset of kind {kind!r} has no root.",
            expected="the folder that holds its files",
            remedy="set `root` to that folder",
        )
    if not root.is_dir():
        raise DataError(
            f"The root {root} of a dataset of kind {kind!r} is not a folder.",
            expected="the folder that holds its files",
            remedy="check `root`; for a published set, download and unpack the release there",
        )
    return root


def require_file(path: Path) -> Path:
    """`path`, which is a file; DataError where it does not exist."""
    if not is_file(path):
        raise DataError(
            f"There is no file {path}.",
            expected="every file that this kind of set has, a release or your own",
            remedy="check `root` and `kind`, or unpack the release again",
        )
    return path


def is_file(path: Path) -> bool:
    """Whether this is a file; what cannot be the name of one, as it is too long, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_text_file(path: Path) -> str:
    """All of a UTF-8 text file, without the mark in front by which some programs tell its encoding.

    Raises DataError for a file that is missing or is not text.
    """
    try:
        content = require_file(path).read_bytes()
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as text: {error}.",
            expected="a readable UTF-8 text file",
            remedy="check its permissions and its encoding, or download it again",
        ) from None


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, stripped, without blank ones; at least one.

    Raises DataError for a file that is missing, is not text or has nothing in it.
    """
    lines = [line for line in map(str.strip, read_text_file(path).splitlines()) if line]
    if not lines:
        raise DataError(
            f"{path} is empty.", expected="at least one line", remedy="write or download it again"
        )
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
                    remedy="restore the lists of the release, or mend your own",
                )
            listed_in[name] = path
    return lists
