"""What the few names of Python that a pickle may call would make: arrays, their types, their numbers."""

from enum import Enum, auto
from typing import Any

import numpy as np

from pointlab.data.formats.pickles.arrays import Extent, StoredArray


class Admitted(Enum):
    """The only names of Python that a pickle may ask for, and never called: each stands for itself."""

    ARRAY = auto()
    DTYPE = auto()
    RECONSTRUCT = auto()
    SCALAR = auto()
    FROM_BUFFER = auto()
    ENCODE = auto()
    BYTES = auto()


NAMES = {
    "numpy.ndarray": Admitted.ARRAY,
    "numpy.dtype": Admitted.DTYPE,
    "numpy.core.multiarray._reconstruct": Admitted.RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": Admitted.RECONSTRUCT,
    "numpy.core.multiarray.scalar": Admitted.SCALAR,
    "numpy._core.multiarray.scalar": Admitted.SCALAR,
    "numpy.core.numeric._frombuffer": Admitted.FROM_BUFFER,
    "numpy._core.numeric._frombuffer": Admitted.FROM_BUFFER,
    "_codecs.encode": Admitted.ENCODE,
    "__builtin__.bytes": Admitted.BYTES,
    "builtins.bytes": Admitted.BYTES,
}
ELEMENTS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]
DTYPES = {name: np.dtype(name) for name in ELEMENTS}

MAX_DIMENSIONS = 32
"""As numpy 1 has at most."""


class AdmissionError(Exception):
    """Something in a pickle that only code could make; says what."""


class ElementType:
    """A dtype under construction: its byte order is filled in after it was made."""

    def __init__(self, name: object) -> None:
        if not isinstance(name, str) or name not in DTYPES:
            what = repr(name)[:20] if isinstance(name, str) else name_type(name)
            raise AdmissionError(f"an array or number of type {what}")
        self.dtype = DTYPES[name]


def call_admitted(function: object, arguments: object) -> Any:
    """What calling `function` would give, for those that make arrays, their types and their numbers."""
    match function, arguments:
        case Admitted.RECONSTRUCT, (Admitted.ARRAY, _, _):
            return StoredArray()
        case Admitted.DTYPE, (name, *_):
            return ElementType(name)
        case Admitted.FROM_BUFFER, (data, ElementType() as element, tuple(shape), ("C" | "F") as order):
            return StoredArray(element.dtype, _as_shape(shape), order == "F", _as_data(data))
        case Admitted.SCALAR, (ElementType() as element, data):
            return _make_number(element.dtype, _as_data(data))
        case Admitted.ENCODE, (str(text), "latin1" | "latin-1"):
            return text.encode("latin-1")
        case Admitted.ENCODE, (Extent() as extent, "latin1" | "latin-1"):
            return extent
        case Admitted.BYTES, ():  # the empty bytes of protocol 2
            return b""
    if isinstance(function, Admitted):
        raise AdmissionError(f"numpy's {function.name.lower()} with unusual arguments")
    raise AdmissionError(f"a call of {name_type(function)}")


def build(target: object, state: object) -> None:
    """Fill in an array, or the byte order of a type, as its pickle says."""
    match target, state:
        case StoredArray(), (1, tuple(shape), ElementType() as element, bool() | 0 | 1 as is_fortran, data):
            filled = StoredArray(element.dtype, _as_shape(shape), bool(is_fortran), _as_data(data))
            vars(target).update(vars(filled))
        case ElementType(), (3, "<" | ">" | "|" | "=" as order, None, None, None, *_):
            target.dtype = target.dtype.newbyteorder(order)
        case _:
            raise AdmissionError(f"a state of {name_type(target)} that is not plain")


def _make_number(dtype: np.dtype, data: bytes | Extent) -> Any:
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise ValueError(f"a number of type {dtype} in other than {dtype.itemsize} bytes")
    return np.frombuffer(data, dtype)[0].item()


def _as_shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if len(sizes) > MAX_DIMENSIONS or any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError("an array of an impossible shape")
    return sizes


def _as_data(value: object) -> bytes | Extent:
    if isinstance(value, str):  # bytes of Python 2
        return value.encode("latin-1")
    if not isinstance(value, bytes | Extent):
        raise AdmissionError(f"an array made of {name_type(value)}")
    return value


def name_type(value: object) -> str:
    """How an error calls a value: by its type, as its content may be anything."""
    return f"a value of type {type(value).__name__}"
