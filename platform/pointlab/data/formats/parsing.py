"""Files that other people's libraries parse: whatever these raise becomes a DataError that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from pointlab.data.formats.files import require_file
from pointlab.errors import DataError, PointlabError


@contextmanager
def parsing(path: Path, what: str) -> Iterator[None]:
    """A block that parses `path` as `what`, such as "a PLY file"; any error in it is a DataError.

    A parser of foreign files may raise anything when they are damaged, so all exceptions are caught.
    """
    require_file(path)
    try:
        yield
    except PointlabError:
        raise
    except MemoryError:
        raise unreadable(path, f"announces more than memory holds, and is not read as {what}", what) from None
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        reason = f"there is no {said}" if isinstance(error, KeyError) else said
        raise unreadable(path, f"cannot be read as {what}: {reason}", what) from error


def unreadable(path: Path, found: str, what: str) -> DataError:
    """The error of a file that is not a whole `what`."""
    return DataError(
        f"{path} {found}.",
        expected=f"{what}, whole and undamaged",
        remedy="export, unpack or download this file again, or take it out",
    )


def is_below(text: str) -> bool:
    """Whether this is a path relative to a folder that cannot lead out of it."""
    path = PurePosixPath(text)
    return bool(text) and not (path.is_absolute() or ".." in path.parts or PureWindowsPath(text).drive)


def path_below(text: str, origin: str) -> PurePosixPath:
    """The relative path `text` of a list; DataError, which says where, if it leads out of the folder."""
    if not is_below(text):
        raise DataError(
            f"{origin} has the path {text!r}.",
            expected="a path below the folder of the list, without '..'",
            remedy="write it relative to that folder",
        )
    return PurePosixPath(text)
