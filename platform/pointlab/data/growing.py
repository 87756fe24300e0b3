"""Arrays that are written piece by piece, so that nobody need hold them whole."""

from pathlib import Path

import numpy as np


class GrowingArray:
    """An .npy file that grows along its first axis; numpy leaves room in the header for its length."""

    def __init__(self, path: Path, like: np.ndarray) -> None:
        """Begin an empty array of rows like those of `like`."""
        self._stream = path.open("wb")
        self._row_shape, self._dtype, self._length = like.shape[1:], like.dtype, 0
        self._write_header()

    def __enter__(self) -> "GrowingArray":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def __len__(self) -> int:
        return self._length

    def append(self, rows: np.ndarray) -> None:
        """Add `rows` at the end."""
        self._stream.write(np.ascontiguousarray(rows).data)
        self._length += len(rows)

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        shape = (self._length, *self._row_shape)
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)
