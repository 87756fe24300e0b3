"""Shards: Parquet files of prepared clouds, readable by anything that reads Parquet.

Sets in which every cloud has the same length use fixed-shape tensor columns; others use lists. Arrays are
float32 and int64, `sample_id` is the 63-bit identity of the source row, `content_hash` that of its points,
`group` what the row belongs to. Views are lists of structs that hold image files as they are.
"""

import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64

from pointlab.data.sample import Cloud, Picture, View
from pointlab.errors import DataError
from pointlab.geometry.cameras import Pinhole

ROWS_PER_GROUP = 64
PER_POINT = {"points": 3, "normals": 3, "colours": 3, "point_labels": 1}
"""Per-point columns and their channels."""
PICTURE = pa.struct(
    {
        "content": pa.large_binary(),
        "camera": pa.list_(pa.float64(), 6),
        "pose": pa.list_(pa.float64(), 16),
        "unit": pa.float64(),
    }
)
"""`camera` is (width, height, fx, fy, cx, cy), `pose` is row by row."""
VIEWS = pa.list_(pa.struct({"name": pa.string(), "colour": PICTURE, "depth": PICTURE}))
COLOUR_FILES = "views.list.element.colour.content"
"""Where Parquet keeps the colour pictures of `VIEWS`, which can be read alone."""


@dataclass(frozen=True)
class PreparedCloud:
    """A cloud with its identities, and the group that it belongs to."""

    sample_id: int
    content_hash: str
    cloud: Cloud
    group: str = ""


@dataclass(frozen=True)
class Columns:
    """Decoded rows: per-point arrays laid end to end, cloud i at `offsets[i]:offsets[i + 1]`.

    `labels` is -1 where a cloud has none.
    """

    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    offsets: np.ndarray
    per_point: dict[str, np.ndarray]


@dataclass(frozen=True)
class Attached:
    """What a shard's clouds bring along beside arrays: a caption each, or None, and colour pictures.

    `pictures` are files, those of the first cloud, then of the next; `num_pictures` says how many each has.
    """

    captions: list[str | None]
    pictures: list[bytes]
    num_pictures: Int64[np.ndarray, " clouds"]


def encode_shard(clouds: Sequence[PreparedCloud], num_points: int | None) -> bytes:
    """Parquet content of `clouds`; with `num_points` all must have that length and columns are tensors."""
    columns: dict[str, Any] = {
        "sample_id": pa.array([c.sample_id for c in clouds], pa.int64()),
        "content_hash": pa.array([c.content_hash for c in clouds], pa.string()),
        "label": pa.array([c.cloud.label for c in clouds], pa.int64()),
        "caption": pa.array([c.cloud.caption for c in clouds], pa.string()),
        "group": pa.array([c.group for c in clouds], pa.string()),
    }
    if any(c.cloud.views for c in clouds):
        columns["views"] = pa.array([[_view_row(view) for view in c.cloud.views] for c in clouds], VIEWS)
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


def _view_row(view: View) -> dict[str, Any]:
    return {"name": view.name, "colour": _picture_row(view.colour), "depth": _picture_row(view.depth)}


def _picture_row(picture: Picture | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    return {
        "content": picture.content,
        "camera": [float(value) for value in astuple(picture.camera)],
        "pose": picture.pose.reshape(-1).tolist(),
        "unit": picture.unit,
    }


def decode_shard(content: bytes) -> Columns:
    """Rows of a shard as flat arrays, without views; DataError if the file is not one of ours."""
    return _columns(_table(content, ["sample_id", "label", "group", *PER_POINT]))


def decode_attached(content: bytes) -> Attached:
    """Captions and colour pictures of a shard, nothing else being read of it.

    Raises DataError if the file is not one of ours.
    """
    table = _table(content, ["caption", COLOUR_FILES])
    captions = table["caption"].to_pylist() if "caption" in table.column_names else [None] * len(table)
    if "views" not in table.column_names or len(table) == 0:
        return Attached(captions, [], np.zeros(len(table), np.int64))
    views = table["views"].combine_chunks()
    files = pc.struct_field(views.flatten(), ["colour", "content"])
    owners = np.repeat(np.arange(len(table)), pc.list_value_length(views).to_numpy())
    has_colour = files.is_valid().to_numpy(zero_copy_only=False)  # a view may be of depth alone
    num_pictures = np.bincount(owners[has_colour], minlength=len(table))
    return Attached(captions, files.drop_null().to_pylist(), num_pictures)


def decode_clouds(content: bytes) -> list[PreparedCloud]:
    """Rows of a shard as clouds, views and captions included; DataError if the file is not one of ours."""
    table = _table(content, None)
    columns = _columns(table)
    views = table["views"].to_pylist() if "views" in table.column_names else [[]] * len(columns.ids)
    hashes, captions = table["content_hash"].to_pylist(), table["caption"].to_pylist()
    clouds = []
    for row, (identity, label) in enumerate(zip(columns.ids.tolist(), columns.labels.tolist(), strict=True)):
        part = slice(columns.offsets[row], columns.offsets[row + 1])
        cloud = Cloud(
            label=None if label < 0 else label,
            caption=captions[row],
            views=tuple(_view(entry) for entry in views[row]),
            **{name: values[part] for name, values in columns.per_point.items()},
        )
        clouds.append(PreparedCloud(identity, hashes[row], cloud, str(columns.groups[row])))
    return clouds


def _view(row: dict[str, Any]) -> View:
    return View(row["name"], _picture(row["colour"]), _picture(row["depth"]))


def _picture(row: dict[str, Any] | None) -> Picture | None:
    if row is None:
        return None
    width, height, *lengths = row["camera"]
    camera = Pinhole(int(width), int(height), *lengths)
    return Picture(row["content"], camera, np.reshape(row["pose"], (4, 4)), row["unit"])


def _table(content: bytes, columns: list[str] | None) -> pa.Table:
    try:
        source = pq.ParquetFile(io.BytesIO(content))
        leaves = (source.schema.column(number).path for number in range(len(source.schema)))
        present = {*source.schema_arrow.names, *leaves}
        missing = {"sample_id", "label", "group"} - present
        if missing:
            raise KeyError(f"it has no column {sorted(missing)[0]!r}")
        return source.read(None if columns is None else [name for name in columns if name in present])
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise DataError(f"This is not a pointlab shard: {error}.", remedy="prepare the set again") from None


def _columns(table: pa.Table) -> Columns:
    table = table.combine_chunks()
    ids = table["sample_id"].to_numpy()
    labels = table["label"].fill_null(-1).to_numpy()
    groups = np.array(table["group"].to_pylist(), dtype=np.str_)
    if len(ids) == 0:
        return Columns(ids, labels, groups, np.zeros(1, np.int64), {})
    present = [name for name in PER_POINT if name in table.column_names]
    decoded = {name: _decode(table[name]) for name in present}
    return Columns(ids, labels, groups, decoded["points"][1], {name: decoded[name][0] for name in present})


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
