"""What is seen of a surface from one place: projection, hidden point removal and scan lines.

A surface is given as dense points with normals. They are projected onto the raster of a pinhole camera; a
z-buffer keeps the nearest; each pixel on a scan line returns at most one point. Since density is that of
the pixels, near and frontal surfaces come out dense, far and slanted ones sparse.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.primitives import Points

GRAZING_COSINE = float(np.cos(np.radians(80)))
"""Cosine of the incidence beyond which nothing returns; Nguyen et al. (2012) measure up to 80 degrees."""


@dataclass(frozen=True)
class View:
    """A sensor in place: `axes` are the rows right, up and forward; `pitch` is the tangent of a pixel."""

    eye: Float64[np.ndarray, "3"]
    axes: Float64[np.ndarray, "3 3"]
    pitch: float

    def project(
        self, points: Points
    ) -> tuple[Int64[np.ndarray, " points"], Int64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
        """Row and column of every point's pixel, counted from the view's centre, and its depth in metres."""
        right, up, depth = self.axes @ (points - self.eye).T
        rows, columns = np.floor(np.stack([up, right]) / (depth * self.pitch)).astype(np.int64)
        return rows, columns, depth


def look_at(
    target: Float64[np.ndarray, "3"], azimuth: float, elevation: float, distance: float, pitch: float
) -> View:
    """A view of `target` from these angles (radians; azimuth 0 lies on +z) and this distance (metres)."""
    backward = np.array([np.sin(azimuth), np.tan(elevation), np.cos(azimuth)]) * np.cos(elevation)
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    return View(target + distance * backward, np.stack([right, np.cross(backward, right), -backward]), pitch)


def incidence(points: Points, normals: Points, view: View) -> Float64[np.ndarray, " points"]:
    """Cosine of the angle between each normal and the ray back to the sensor; negative from behind."""
    rays = view.eye - points
    cosine: Float64[np.ndarray, " points"] = (normals * rays).sum(1) / np.linalg.norm(rays, axis=1)
    return cosine


def depth_and_nearest(
    points: Points, view: View
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Depth of every point, and the least depth in its own pixel and the eight around it."""
    rows, columns, depth = view.project(points)
    rows, columns = rows - rows.min(), columns - columns.min()
    nearest = np.full((rows.max() + 3, columns.max() + 3), np.inf)
    np.minimum.at(nearest, (rows + 1, columns + 1), depth)
    nearest = np.minimum(np.minimum(nearest[:-2], nearest[1:-1]), nearest[2:])
    nearest = np.minimum(np.minimum(nearest[:, :-2], nearest[:, 1:-1]), nearest[:, 2:])
    return depth, nearest[rows, columns]


def visible(points: Points, normals: Points, view: View) -> Int64[np.ndarray, " visible"]:
    """Rows of the points that face the sensor and that nothing hides.

    The nearest depth within one pixel around a point hides it, unless the slant of the point's own
    surface explains the difference. The neighbourhood closes the gaps between samples of a near surface.
    """
    depth, nearest = depth_and_nearest(points, view)
    cosine = incidence(points, normals, view)
    faces = cosine > GRAZING_COSINE
    slope = np.sqrt(1 - np.where(faces, cosine, 1.0) ** 2) / np.where(faces, cosine, 1.0)
    # points in adjacent pixels lie less than two pixels apart along each axis
    tolerance = view.pitch * depth * (1 + 2 * np.sqrt(2) * slope)
    return np.flatnonzero(faces & (depth <= nearest + tolerance))


def scan_lines(points: Points, view: View, line_gap: int, phase: int) -> Int64[np.ndarray, " returns"]:
    """Rows of the nearest point in every pixel of every `line_gap`-th line, beginning at `phase`."""
    rows, columns, depth = view.project(points)
    order = np.argsort(depth)
    order = order[rows[order] % line_gap == phase]
    pixels = (rows[order] - rows.min()) * (np.ptp(columns) + 1) + columns[order] - columns.min()
    _, first = np.unique(pixels, return_index=True)
    returned: Int64[np.ndarray, " returns"] = order[first]
    return returned
