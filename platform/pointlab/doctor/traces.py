"""Files that checks leave in a store while they run: their names, and how they are taken away again."""

import contextlib
import re
import secrets
import time
from collections.abc import Iterator

from pointlab.errors import StorageError
from pointlab.storage import Storage

PREFIX = "doctor-"
"""How they begin. They lie at the root: a folder would leave its marker there."""
LEFT = re.compile(rf"{PREFIX}(\d{{10}})-[0-9a-f]{{16}}(\..+)?")
STALE_SECONDS = 3600.0
"""By then the check that has left a file is over, however it ended."""


def new_token() -> str:
    """The name of a file of a check, which tells since when it may lie there, and is no other check's."""
    return f"{PREFIX}{time.time():.0f}-{secrets.token_hex(8)}"


def clear(storage: Storage, token: str) -> None:
    """Take away what a check has left, and others beside it: all that can be taken away."""
    names = {token}
    with contextlib.suppress(StorageError):
        names.update(name for name in storage.files("") if name.startswith(token))
    for name in names:
        with contextlib.suppress(StorageError):
            storage.delete_file(name)


def sweep(storage: Storage) -> None:
    """Take away what checks have left that were killed, or nodes that answered too late."""
    now = time.time()
    for name in storage.files(""):
        if (left := LEFT.fullmatch(name)) and now - int(left[1]) > STALE_SECONDS:
            clear(storage, name)


@contextlib.contextmanager
def deleted_after(storage: Storage, *files: str) -> Iterator[None]:
    """A block after which these files are gone. What the block raises is told, not what follows from it."""
    try:
        yield
    except StorageError:
        for file in files:
            with contextlib.suppress(StorageError):
                storage.delete_file(file)
        raise
    for file in files:
        storage.delete_file(file)
