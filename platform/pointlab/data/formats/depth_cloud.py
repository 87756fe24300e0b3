"""From a depth picture to points, and from a colour picture of another camera to their colours."""

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor

from pointlab.geometry.cameras import Pinhole, back_project, project

CELL = 1.5
"""Edge of a cell of the z-buffer in spacings of the depth picture, so that no cell of a surface is empty."""
DEPTH_TOLERANCE = (0.05, 0.02)
"""Metres, or share of the depth, by which a point may lie behind the nearest in its cell and be seen."""


def points_of_depth(
    depth: Float64[np.ndarray, "height width"],
    camera: Pinhole,
    camera_from_points: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, "points 3"]:
    """A point for every pixel of positive depth, row by row."""
    rows, columns = np.nonzero(depth > 0)
    pixels = torch.from_numpy(np.stack([columns, rows], axis=1).astype(np.float64))
    values = torch.from_numpy(depth[rows, columns])
    return back_project(pixels, values, camera, torch.from_numpy(camera_from_points)).numpy()


def seen_colours(
    points: Float64[np.ndarray, "points 3"],
    picture: UInt8[np.ndarray, "height width 3"],
    camera: Pinhole,
    camera_from_points: Float64[np.ndarray, "4 4"],
    spacing: float | None,
) -> tuple[Float32[np.ndarray, "points 3"], Bool[np.ndarray, " points"]]:
    """Colour of the pixel that each point falls on, and which points are seen in the picture at all.

    A point outside the picture, or hidden behind another, has colour 0. `spacing` is that of the points in
    pixels of the picture; None says that the points were taken through the same lens: none is hidden.
    """
    pixels, depth = project(torch.from_numpy(points), camera, torch.from_numpy(camera_from_points))
    columns, rows = pixels.round().unbind(1)
    is_inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    places = torch.nonzero(is_inside & (depth > 0)).squeeze(1)
    columns, rows, depth = columns[places].long(), rows[places].long(), depth[places]
    if spacing is not None:
        is_front = _in_front(columns, rows, depth, max(1, round(CELL * spacing)))
        places, columns, rows = places[is_front], columns[is_front], rows[is_front]
    colours = np.zeros((len(points), 3), dtype=np.float32)
    is_seen = np.zeros(len(points), dtype=bool)
    colours[places.numpy()] = picture[rows.numpy(), columns.numpy()].astype(np.float32) / 255
    is_seen[places.numpy()] = True
    return colours, is_seen


def _in_front(
    columns: Int64[Tensor, " points"],
    rows: Int64[Tensor, " points"],
    depth: Float64[Tensor, " points"],
    cell: int,
) -> Bool[Tensor, " points"]:
    """Which points lie no deeper than the nearest one in their cell of `cell` by `cell` pixels."""
    if len(depth) == 0:
        return torch.zeros(0, dtype=torch.bool)
    stride = int(columns.max()) // cell + 1
    cells = rows // cell * stride + columns // cell
    nearest = torch.full((int(cells.max()) + 1,), torch.inf, dtype=depth.dtype)
    nearest = nearest.scatter_reduce(0, cells, depth, "amin")[cells]
    metres, share = DEPTH_TOLERANCE
    return depth <= nearest + (share * nearest).clamp_min(metres)


def thin(points: Float64[np.ndarray, "points 3"], voxel_size: float) -> Int64[np.ndarray, " kept"]:
    """Rows, in order, of the point nearest to its centre in every occupied voxel of a grid at the origin."""
    cells = np.floor(points / voxel_size)
    off_centre = ((points / voxel_size - cells - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((off_centre, cells[:, 2], cells[:, 1], cells[:, 0]))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    return np.sort(order[is_first])
