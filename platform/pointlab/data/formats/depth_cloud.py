"""From a depth picture to points, and from a colour picture of another camera to their colours."""

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from pointlab.geometry.cameras import Pinhole, back_project, is_inside, project
from pointlab.geometry.occlusion import cell_for, slack_of, z_buffer


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
    places = torch.nonzero(is_inside(pixels, depth, camera)).squeeze(1)
    pixels, depth = pixels[places], depth[places]
    if spacing is not None:
        nearest = z_buffer(pixels, depth, camera, cell_for(spacing)).at(pixels)
        is_front = depth <= nearest + slack_of(nearest)
        places, pixels = places[is_front], pixels[is_front]
    columns, rows = pixels.round().long().unbind(1)
    colours = np.zeros((len(points), 3), dtype=np.float32)
    is_seen = np.zeros(len(points), dtype=bool)
    colours[places.numpy()] = picture[rows.numpy(), columns.numpy()].astype(np.float32) / 255
    is_seen[places.numpy()] = True
    return colours, is_seen


def thin(points: Float64[np.ndarray, "points 3"], voxel_size: float) -> Int64[np.ndarray, " kept"]:
    """Rows, in order, of the point nearest to its centre in every occupied voxel of a grid at the origin."""
    cells = np.floor(points / voxel_size)
    off_centre = ((points / voxel_size - cells - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((off_centre, cells[:, 2], cells[:, 1], cells[:, 0]))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    return np.sort(order[is_first])
