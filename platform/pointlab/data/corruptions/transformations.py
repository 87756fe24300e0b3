"""The transformations of ModelNet40-C (Sun et al., 2022): linear ones, and three smooth distortions.

The distortions move a lattice of 5 x 5 x 5 control points over the cube from -1 to 1, and the cloud with
it: by Bernstein polynomials (free-form deformation; Sederberg and Parry, 1986), or by radial basis
functions with an affine term, as in PyGeM.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from pointlab.data.corruptions.contract import Corrupted, Points, to_unit_box
from pointlab.data.corruptions.rotations import about_x, about_y, about_z

ANGLES = (2.5, 5.0, 7.5, 10.0, 15.0)
"""Middle of the range of angles, in degrees."""
SHEARS = (0.05, 0.1, 0.15, 0.2, 0.25)
LATTICE_SHIFTS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Largest shift of a control point along each axis, with the side of the cube as the unit."""
CONTROL_SHIFTS = (0.025, 0.05, 0.075, 0.1, 0.125)
NUM_CONTROLS = 5
"""Control points along each axis."""
RADIUS = 0.5
"""Shape parameter of the radial basis functions, PyGeM's default."""
BINOMIALS = np.array([1, 4, 6, 4, 1])

Controls = Float64[np.ndarray, "controls 3"]


def rotation(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Row vectors times Rx Ry Rz; the angles lie within 2.5 degrees of the severity's; normalised."""
    x, y, z = np.radians(_either_side(ANGLES[severity - 1], 2.5, 3, draw))
    return to_unit_box(points @ (about_x(x) @ about_y(y) @ about_z(z)))


def shear(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Row vectors times a matrix that shears x and z along the other two axes and leaves y; normalised.

    Six numbers are drawn and the first and the last are not used, as in the released generator.
    """
    _, b, d, e, f, _ = _either_side(SHEARS[severity - 1], 0.05, 6, draw)
    return to_unit_box(points @ np.array([[1, 0, b], [d, 1, e], [f, 0, 1]]))


def distortion(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Moved by a random free-form deformation; points outside the cube stay; normalised."""
    largest = LATTICE_SHIFTS[severity - 1]
    shifts = draw.uniform(-largest, largest, (3, NUM_CONTROLS, NUM_CONTROLS, NUM_CONTROLS))
    places = (points.astype(np.float64) + 1) / 2
    is_inside = ((places >= 0) & (places <= 1)).all(1, keepdims=True)
    x, y, z = _bernstein(places).transpose(1, 0, 2)
    products = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    moves = products.reshape(len(points), -1) @ shifts.reshape(3, -1).T
    return to_unit_box(points + np.where(is_inside, 2 * moves, 0))


def distortion_rbf(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Moved by radial basis functions sqrt(d^2 + r^2); normalised."""
    return _distort(points, severity, draw, is_inverse=False)


def distortion_rbf_inv(points: Points, severity: int, draw: np.random.Generator) -> Corrupted:
    """Moved by radial basis functions 1 / sqrt(d^2 + r^2); normalised."""
    return _distort(points, severity, draw, is_inverse=True)


def _either_side(middle: float, spread: float, number: int, draw: np.random.Generator) -> np.ndarray:
    """Numbers of random sign whose size is uniform within `spread` of `middle`."""
    sizes = draw.uniform(middle - spread, middle + spread, number)
    signed: np.ndarray = sizes * draw.choice((-1.0, 1.0), number)
    return signed


def _bernstein(places: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3 controls"]:
    """The Bernstein polynomials of degree 4 at every coordinate."""
    degrees = np.arange(NUM_CONTROLS)
    inside = np.clip(places, 0, 1)[..., None]
    polynomials: Float64[np.ndarray, "points 3 controls"] = (
        BINOMIALS * inside**degrees * (1 - inside) ** degrees[::-1]
    )
    return polynomials


def _distort(points: Points, severity: int, draw: np.random.Generator, is_inverse: bool) -> Corrupted:
    """Moved with control points that each go the severity's distance, in a direction of their own."""
    controls, inverse = _interpolation(is_inverse)
    first, second = draw.uniform(-np.pi, np.pi, (2, len(controls)))
    directions = np.stack([np.cos(first) * np.sin(second), np.sin(first) * np.sin(second), np.cos(second)], 1)
    moved = controls + CONTROL_SHIFTS[severity - 1] * directions
    weights = inverse[:, : len(controls)] @ moved
    return to_unit_box(_terms(points.astype(np.float64), controls, is_inverse) @ weights)


@lru_cache
def _interpolation(is_inverse: bool) -> tuple[Controls, Float64[np.ndarray, "terms terms"]]:
    """The control points, and the matrix from where they go to the weights of all terms.

    Beyond interpolating, the weights of the radial terms are orthogonal to constants and coordinates.
    """
    axis = np.linspace(-1, 1, NUM_CONTROLS)
    controls = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), 3).reshape(-1, 3)
    upper = _terms(controls, controls, is_inverse)
    lower = np.concatenate([upper[:, len(controls) :].T, np.zeros((4, 4))], 1)
    return controls, np.linalg.inv(np.concatenate([upper, lower]))


def _terms(
    places: Float64[np.ndarray, "places 3"], controls: Controls, is_inverse: bool
) -> Float64[np.ndarray, "places terms"]:
    """Values at each place of a radial function per control point, of 1 and of the three coordinates."""
    squared = (places**2).sum(1)[:, None] + (controls**2).sum(1) - 2 * places @ controls.T
    radial = np.sqrt(np.maximum(squared, 0) + RADIUS**2)
    if is_inverse:
        radial = 1 / radial
    return np.concatenate([radial, np.ones((len(places), 1)), places], axis=1)
