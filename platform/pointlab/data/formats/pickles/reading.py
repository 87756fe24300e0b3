"""A whole pickle as plain values, or a DataError that says what it asks for."""

import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from pointlab.data.formats.files import require_file
from pointlab.data.formats.pickles.calls import AdmissionError
from pointlab.data.formats.pickles.machine import Machine
from pointlab.data.formats.pickles.operations import list_operations
from pointlab.errors import DataError

MAX_OPERATIONS = 5_000_000
"""Twenty times those of the 9843 clouds of ModelNet40: a bound on the time and memory of a hostile file."""


def read_pickle(path: Path) -> Any:
    """What the pickle holds, with a `StoredArray` for every array; neither to be changed by the caller.

    The file is looked through once in a process, as long as it does not change. Raises DataError for a file
    that is missing, damaged, or asks for anything but plain values and arrays.
    """
    status = require_file(path).stat()
    return _read_unchanged(path, (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)  # a release has two such files; what is kept of each is small
def _read_unchanged(path: Path, _state: tuple[int, int]) -> Any:
    return interpret(path)


def interpret(path: Path, max_operations: int = MAX_OPERATIONS) -> Any:
    """What `read_pickle` returns, read anew."""
    machine = Machine()
    try:
        with path.open("rb") as stream:
            for number, (name, argument) in enumerate(list_operations(stream)):
                if number == max_operations:
                    raise AdmissionError(f"more than {max_operations} operations")
                machine.carry_out(name, argument)
            if stream.read(1):
                raise ValueError("it goes on after its end")
        return machine.result()
    except AdmissionError as problem:
        raise DataError(
            f"{path} asks for {problem}.",
            expected="a pickle of lists, dicts, numbers and numeric arrays only",
            remedy="do not open it elsewhere either: a pickle from outside may run any code, so only arrays"
            " are admitted. Take the file of the official release, or save its arrays as npz",
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, struct.error, OSError) as error:
        raise DataError(
            f"{path} is not a whole pickle: {error or type(error).__name__}.",
            expected="a pickle of protocol 2 to 5",
            remedy="download it again; a partial download is the usual cause",
        ) from None
