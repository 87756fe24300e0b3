"""Triangle meshes and points drawn evenly from their surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64


@dataclass(frozen=True)
class Mesh:
    """Vertices in the units of their file, and triangles as rows of three vertex numbers."""

    vertices: Float64[np.ndarray, "vertices 3"]
    triangles: Int64[np.ndarray, "triangles 3"]

    def corners(self) -> tuple[Float64[np.ndarray, "triangles 3"], ...]:
        """First, second and third corner of every triangle."""
        return tuple(self.vertices[self.triangles[:, corner]] for corner in range(3))

    def area_vectors(self) -> Float64[np.ndarray, "triangles 3"]:
        """Normal of every triangle by the right-hand rule, as long as its area."""
        first, second, third = self.corners()
        return np.cross(second - first, third - first) / 2


def fan_triangles(polygons: Int64[np.ndarray, "polygons corners"]) -> Int64[np.ndarray, "triangles 3"]:
    """Triangles of polygons of n corners, at least three: n - 2 of each, around its first corner."""
    corners = range(1, polygons.shape[1] - 1)
    return np.concatenate([polygons[:, [0, corner, corner + 1]] for corner in corners])


def sample_surface(
    mesh: Mesh, num_points: int, random: np.random.Generator
) -> tuple[Float32[np.ndarray, "{num_points} 3"], Float32[np.ndarray, "{num_points} 3"]]:
    """Points spread evenly over the surface of `mesh`, and the unit normals of the faces they lie on."""
    points, normals, _ = sample_faces(mesh, num_points, random)
    return points, normals


def sample_faces(
    mesh: Mesh, num_points: int, random: np.random.Generator
) -> tuple[
    Float32[np.ndarray, "{num_points} 3"],
    Float32[np.ndarray, "{num_points} 3"],
    Int64[np.ndarray, " {num_points}"],
]:
    """As `sample_surface`, with the row of the triangle that each point lies on.

    A triangle is drawn by its area, a point in it by square-root barycentric weights (Osada et al.,
    "Shape Distributions", 2002, equation 1). The mesh must have some area.
    """
    vectors = mesh.area_vectors()
    areas = np.linalg.norm(vectors, axis=1)
    cumulative = np.cumsum(areas)
    # Divided by the last sum, the final bound is exactly 1: no draw falls past it or on an empty triangle.
    chosen = np.searchsorted(cumulative / cumulative[-1], random.random(num_points), side="right")
    root, along = np.sqrt(random.random((num_points, 1))), random.random((num_points, 1))
    first, second, third = (corner[chosen] for corner in mesh.corners())
    points = (1 - root) * first + root * (1 - along) * second + root * along * third
    normals = vectors[chosen] / areas[chosen, None]
    return points.astype(np.float32), normals.astype(np.float32), chosen
