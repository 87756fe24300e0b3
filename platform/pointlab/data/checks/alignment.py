"""Alignment: whether two clouds sample the same surface, however one of them was turned, moved or scaled.

Rotations to start from are those that carry the principal axes of one cloud to those of the other, in every
way that their spreads leave open, and no rotation at all. Each start is scored on a few points; the best are
refined by iterated closest points (Besl and McKay, 1992) with the closed-form similarity of Umeyama (1991).
Mirror images are other shapes.
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

MAX_POINTS = 1024
"""Points that clouds are compared on: a spacing of about a twentieth of the radius."""
COARSE_POINTS, FINE_POINTS = 64, 256
"""Points that a start is scored on, and refined on; prefixes in farthest-point order cover a shape evenly."""
NUM_REFINED = 3
"""Starts that are refined: symmetric shapes have several that score alike."""
NUM_STEPS = 4
"""Steps of refinement on few points, and again on more: closest points settle in about five."""
HOPELESS = 0.4
"""Distance of a refined start, in spacings, beyond which it is no duplicate: those lie below 0.2."""
FAR_NEIGHBOUR, EVEN = 8, 0.47
"""The eighth neighbour lies at about sqrt(8 / pi) = 1.6 over the root of the density whatever the sampling,
the nearest at 0.75 (0.47 of that) where points lie evenly: the spacing."""
NEAR_NEIGHBOUR, RANDOM_NEAR, EVEN_NEAR = 2, 1.10, 1.21
"""The second neighbour, in spacings, of random and of even points, as measured on meshes. Not the first:
where faces are doubled, as in many CAD models, that lies on the other face."""
RANDOM_GAP, EVEN_GAP = 0.75, 0.53
"""Mean distance, in spacings, from a surface to the nearest sample, as measured between two random and two
even samplings of the same shapes (on a plane, random points have 0.5 / 0.75 = 0.67)."""
ALIKE = 1.15
"""Ratio of spreads below which two principal axes may have been exchanged by the sampling."""
TURN = np.pi / 12
"""Step of the turns about an axis across which spreads are alike: 15 degrees, well within reach of a step."""


@dataclass(frozen=True)
class Shape:
    """A cloud ready to be compared: centred, of root mean square radius 1, at most `MAX_POINTS` points.

    `gap` is the mean distance from its surface, at other places than its points, to the nearest of them.
    """

    points: Float64[np.ndarray, "points 3"]
    tree: cKDTree
    spacing: float
    gap: float
    axes: Float64[np.ndarray, "3 3"]
    spreads: Float64[np.ndarray, "3"]


def make_shape(points: np.ndarray) -> Shape:
    """`points`, any prefix of which covers the shape, as a `Shape`.

    `spacing` is what the distance between neighbours would be if as many points lay evenly. It is learnt from
    farther neighbours, as the nearest one of a random point is nearer than that of an even one.
    """
    kept = points[:MAX_POINTS].astype(np.float64)
    kept = kept - kept.mean(0)
    size = np.sqrt((kept**2).sum(1).mean())
    kept /= size if size > 0 else 1
    tree = cKDTree(kept)
    ranks = [min(rank + 1, len(kept)) for rank in (NEAR_NEIGHBOUR, FAR_NEIGHBOUR)]  # the first is itself
    near, far = tree.query(kept[:FINE_POINTS], k=ranks)[0].mean(0).tolist()
    spacing = EVEN * far
    gap = (
        float(np.interp(near, [RANDOM_NEAR * spacing, EVEN_NEAR * spacing], [RANDOM_GAP, EVEN_GAP])) * spacing
    )
    variances, axes = np.linalg.eigh(kept.T @ kept / len(kept))
    if np.linalg.det(axes) < 0:
        axes[:, 0] *= -1
    return Shape(kept, tree, spacing, gap, axes, np.sqrt(variances.clip(1e-12)))


def distance(first: Shape, second: Shape) -> float:
    """How far apart the aligned surfaces are on the mean, in spacings: what sampling does not explain.

    The larger of the mean distances to the nearest point of the other cloud, less the gap there; infinite
    where a cloud has no extent. What is clearly unlike is not looked at closely.
    """
    spacing = max(first.spacing, second.spacing)
    if min(first.spacing, second.spacing) == 0:
        return np.inf
    starts = first.points @ _starts(first, second).transpose(0, 2, 1)
    promising = _best(starts, second, NUM_REFINED)
    refined = np.stack([_refine(moved, second, COARSE_POINTS) for moved in promising])
    moved = _refine(_best(refined, second, 1)[0], second, FINE_POINTS)
    there = float(second.tree.query(moved[:FINE_POINTS])[0].mean()) - second.gap
    if there > HOPELESS * spacing:
        return there / spacing
    there = float(second.tree.query(moved)[0].mean()) - second.gap
    back = float(cKDTree(moved).query(second.points)[0].mean()) - first.gap
    return max(there, back) / spacing


def _best(
    moved: Float64[np.ndarray, "starts points 3"], target: Shape, number: int
) -> Float64[np.ndarray, "best points 3"]:
    """The starts whose first points lie nearest to the target."""
    scores = target.tree.query(moved[:, :COARSE_POINTS])[0].mean(1)
    return moved[np.argsort(scores, kind="stable")[:number]]


def _refine(
    moved: Float64[np.ndarray, "points 3"], target: Shape, num_points: int
) -> Float64[np.ndarray, "points 3"]:
    """All of `moved` after some steps of closest points, learnt from the first `num_points`."""
    for _ in range(NUM_STEPS):
        few = moved[:num_points]
        nearest = target.points[target.tree.query(few)[1]]
        centre, goal = few.mean(0), nearest.mean(0)
        left, stretch, right = np.linalg.svd((nearest - goal).T @ (few - centre))
        signs = np.array([1, 1, np.sign(np.linalg.det(left @ right))])
        scale = (stretch * signs).sum() / max(((few - centre) ** 2).sum(), 1e-12)
        moved = scale * (moved - centre) @ ((left * signs) @ right).T + goal
    return moved


def _starts(first: Shape, second: Shape) -> Float64[np.ndarray, "starts 3 3"]:
    """Rotations from the first cloud to the second that their spreads allow, the identity first."""
    spreads = (first.spreads + second.spreads) / 2
    is_alike = spreads[1:] < ALIKE * spreads[:-1]  # smallest with middle, middle with largest
    orders: list[tuple[int, ...]] = [(0, 1, 2)]
    turned: list[int] = []
    if is_alike.all():
        orders, turned = list(permutations(range(3))), [0, 1, 2]
    elif is_alike[0]:
        orders, turned = [(0, 1, 2), (1, 0, 2)], [2]
    elif is_alike[1]:
        orders, turned = [(0, 1, 2), (0, 2, 1)], [0]
    turns = [_turn(axis, number * TURN) for axis in turned for number in range(1, 6)]
    frames = [frame for order in orders for frame in _signed(order)]
    inner = [turn @ frame for turn in [np.eye(3), *turns] for frame in frames]
    return np.stack([np.eye(3), *(second.axes @ middle @ first.axes.T for middle in inner)])


def _signed(order: tuple[int, ...]) -> list[Float64[np.ndarray, "3 3"]]:
    """The four rotations that permute the axes so, by the signs that keep the hand."""
    matrices = [np.eye(3)[list(order)] * np.array(signs) for signs in product((1, -1), repeat=3)]
    return [matrix for matrix in matrices if np.linalg.det(matrix) > 0]


def _turn(axis: int, angle: float) -> Float64[np.ndarray, "3 3"]:
    one, other = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[one, one, other, other], [one, other, one, other]] = [
        np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
    ]  # fmt: skip
    return matrix
