"""Shards: Parquet files of prepared clouds, readable by anything that reads Parquet.

Sets in which every cloud has the same length use fixed-shape tensor columns; others use lists. Arrays are
float32 and int64, `sample_id` is the 63-bit identity of the source row, `content_hash` that of its points.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pointlab.data.sample import Cloud
from pointlab.errors import DataError

ROWS_PER_GROUP = 64
PER_POINT = {"points": 3, "normals": 3, "colours": 3, "point_labels": 1}
"""Per-point columns and their channels."""


@dataclass(frozen=True)
class PreparedCloud:
    """A cloud with its identities."""

    sample_id: int
    content_hash: str
    cloud: Cloud


@dataclass(frozen=True)
class Columns:
    """Decoded rows: per-point arrays laid end to end, cloud i at `offsets[i]:offsets[i + 1]`.

    `labels` is -1 where a cloud has none.
    """

    ids: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    per_point: dict[str, np.ndarray]


def encode_shard(clouds: Sequence[PreparedCloud], num_points: int | None) -> bytes:
    """Parquet content of `clouds`; with `num_points` all must have that length and columns are tensors."""
    columns: dict[str, Any] = {
        "sample_id": pa.array([c.sample_id for c in clouds], pa.int64()),
        "content_hash": pa.array([c.content_hash for c in clouds], pa.string()),
        "label": pa.array([c.cloud.label for c in clouds], pa.int64()),
        "caption": pa.array([c.cloud.caption for c in clouds], pa.string()),
    }
    for name in PER_POINT:
        arrays = [array for c in clouds if (array := getattr(c.cloud, name)) is not None]
        if 0 < len(arrays) < len(clouds):
            raise DataError(
                f"Only {len(arrays)} of {len(clouds)} clouds of a shard have {name}.",
                expected="all clouds of a set to carry the same arrays",
                remedy=f"add {name} to the files that lack them, or take them out of the others",
            )
        if arrays:
            columns[name] = _tensors(arrays, num_points) if num_points else _lists(arrays)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=ROWS_PER_GROUP, compression="zstd")
    return sink.getvalue()


def _tensors(arrays: list[np.ndarray], num_points: int) -> pa.Array:
    short = [len(array) for array in arrays if len(array) != num_points]
    if short:
        raise DataError(f"A cloud has {short[0]} points in a set of {num_points} points each.")
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(arrays))


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    flat = np.concatenate(arrays)
    offsets = np.cumsum([0, *(len(array) for array in arrays)])
    values = pa.array(flat.reshape(-1))
    if flat.ndim > 1:
        values = pa.FixedSizeListArray.from_arrays(values, flat.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)


def decode_shard(content: bytes) -> Columns:
    """Rows of a shard as flat arrays; DataError if the file is not one of ours."""
    try:
        table = pq.read_table(io.BytesIO(content)).combine_chunks()
        labels = table["label"].fill_null(-1).to_numpy()
        ids = table["sample_id"].to_numpy()
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"This is not a pointlab shard: {error}.", remedy="prepare the set again") from None
    if len(ids) == 0:
        return Columns(ids, labels, np.zeros(1, np.int64), {})
    present = [name for name in PER_POINT if name in table.column_names]
    decoded = {name: _decode(table[name]) for name in present}
    return Columns(ids, labels, decoded["points"][1], {name: decoded[name][0] for name in present})


def _decode(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The column's values laid end to end and the offsets of its rows."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if isinstance(array, pa.FixedShapeTensorArray):
        dense = array.to_numpy_ndarray()
        offsets = np.arange(len(dense) + 1, dtype=np.int64) * dense.shape[1]
        return dense.reshape(-1, *dense.shape[2:]), offsets
    values = array.flatten()
    if isinstance(values, pa.FixedSizeListArray):
        width = values.type.list_size
        return values.flatten().to_numpy().reshape(-1, width), np.asarray(array.offsets)
    return values.to_numpy(), np.asarray(array.offsets)
