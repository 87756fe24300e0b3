"""What a matching leaves to be looked at: frames with the numbers from which a page computes similarities.

A pixel's feature is sampled between the projected cells of its picture's map, as the model does it, so a page
that holds the cells can ask for any pixel. Features are rounded to 8 bits: a cosine keeps its second digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float32, Float64, Int8, Int64, UInt8
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from pointlab.experiment.shown import publish_files, read_files
from pointlab.objectives.pixels import cells_of_pixels
from pointlab.storage import Storage

DISTANCES, METRES = "distances between points", "in metres"
"""A note of the record, and what it says of a metric set."""
ARRAYS, JPEG = ".safetensors", ".jpeg"
MAX_POINTS = 2048
"""Points of a frame that are kept, its first: an even sample, and as many as a small drawing can hold."""
MAX_FEATURES = 1 << 18
"""Numbers that are kept of the points of a frame: all 2,048 at 128 channels, fewer of a wider projection."""
MAX_SIDE = 512
"""Pixels of a picture that are kept, either way: what half a page shows."""


@dataclass(frozen=True)
class ShownFrame:
    """A picture and its cloud, in units and pixels of the set, with what the network says of both."""

    picture: bytes
    """A JPEG file, perhaps shrunk: pixels are those of `size`."""
    size: Int64[np.ndarray, "2"]
    """Height and width in pixels."""
    points: Float32[np.ndarray, "points 3"]
    pixels: Float32[np.ndarray, "points 2"]
    """(Column, row) of each point; (-1, -1) where the picture does not show it."""
    features: Int8[np.ndarray, "points width"]
    """Of each point, after its projection; each row is a multiple of what it stands for."""
    cells: Int8[np.ndarray, "rows columns width"]
    """Of each cell of the picture's map, after its projection."""
    scales: Float32[np.ndarray, "rows columns"]
    """What a unit of each cell's numbers stands for."""
    sampling: Float64[np.ndarray, "2 2"]
    """Factor and offset that lead a column, and those that lead a row, to a place among the cells."""
    start: Float32[np.ndarray, "2"]
    """The pixel that is marked first."""
    colours: UInt8[np.ndarray, "points 3"] | None = None
    labels: Int64[np.ndarray, " points"] | None = None


def quantised(
    values: Float[np.ndarray, "*vectors width"],
) -> tuple[Int8[np.ndarray, "*vectors width"], Float32[np.ndarray, "*vectors"]]:
    """Vectors in 8 bits, each with the scale that brings its largest number to 127; zeros stay zeros."""
    scales = np.abs(values).max(-1).astype(np.float32) / 127
    return np.rint(values / np.where(scales == 0, 1, scales)[..., None]).astype(np.int8), scales


def sampling_of(
    size: tuple[int, int], grid: tuple[int, int], *, align_corners: bool
) -> Float64[np.ndarray, "2 2"]:
    """`ShownFrame.sampling` for a picture of this height and width under a map of so many rows and columns.

    The same places as those of `objectives.pixels.sampled`, where they are explained.
    """
    axes = ((size[1], grid[1]), (size[0], grid[0]))
    placed = [cells_of_pixels(*axis, align_corners=align_corners) for axis in axes]
    return np.array([(factor, centre * factor - centre) for factor, centre in placed])


def num_kept(num_points: int, width: int) -> int:
    """How many of a cloud's first points are kept, with features of this width."""
    return min(num_points, MAX_POINTS, max(1, MAX_FEATURES // width))


def publish_frames(storage: Storage, run: str, frames: Mapping[str, ShownFrame]) -> None:
    """Store these frames, by sample id, as what the page of `run` shows."""
    contents = {}
    for identity, frame in frames.items():
        contents[identity + JPEG] = frame.picture
        contents[identity + ARRAYS] = save_safetensors(_arrays(frame))
    publish_files(storage, run, "matching", contents)


def read_frames(storage: Storage, run: str) -> dict[str, ShownFrame]:
    """What `publish_frames` stored, verified; StorageError where it is not there."""
    contents = read_files(storage, run)
    names = [name.removesuffix(JPEG) for name in contents if name.endswith(JPEG)]
    return {
        name: ShownFrame(contents[name + JPEG], **load_safetensors(contents[name + ARRAYS])) for name in names
    }


def _arrays(frame: ShownFrame) -> dict[str, np.ndarray]:
    values = {field.name: getattr(frame, field.name) for field in fields(frame)}
    return {name: np.ascontiguousarray(v) for name, v in values.items() if isinstance(v, np.ndarray)}
