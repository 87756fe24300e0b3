"""Meshes in the Object File Format (OFF; Geomview manual, section "OFF Files").

    OFF
    <vertices> <faces> <edges>
    x y z                       one line a vertex
    n i_1 ... i_n               one line a face: its number of corners, their vertices, at times a colour

Some files of ModelNet lack the line break after the first word: `OFF490518 6 0`.
"""

# Parsed here, although trimesh knows the format: trimesh takes a file whose faces are cut short for whole,
# and fails on faces of two corners beside polygons. A class of triangles must never lose some in silence.

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from pointlab.data.formats.files import read_lines
from pointlab.data.formats.meshes import Mesh, fan_triangles
from pointlab.errors import DataError


def read_off(path: Path) -> Mesh:
    """The mesh in `path`, its polygons cut into triangles; its surface has some area.

    Raises DataError for a file that is missing, cut short or not OFF, and for a face of a vertex that is
    not there.
    """
    num_vertices, num_faces, body = _read_header(path)
    if len(body) < num_vertices + num_faces:
        found = f"announces {num_vertices} vertices and {num_faces} faces and has {len(body)} lines of them"
        raise _unreadable(path, found)
    try:
        vertices = np.loadtxt(body[:num_vertices], usecols=(0, 1, 2), ndmin=2)
        triangles = _triangulate(body[num_vertices : num_vertices + num_faces])
    except (ValueError, OverflowError) as error:
        raise _unreadable(path, f"has an unreadable row: {error}") from None
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < num_vertices:
        found = f"has faces of vertices {triangles.min()} to {triangles.max()}, and {num_vertices} vertices"
        raise _unreadable(path, found)
    mesh = Mesh(vertices, triangles)
    if not np.linalg.norm(mesh.area_vectors(), axis=1).sum() > 0:
        raise _unreadable(path, "has a surface without area")
    return mesh


def _read_header(path: Path) -> tuple[int, int, list[str]]:
    """Numbers of vertices and faces, and the lines that follow, without comments."""
    lines = [line for line in read_lines(path) if not line.startswith("#")]
    if not lines or not lines[0].startswith("OFF"):
        raise _unreadable(path, f"begins with {lines[0][:20]!r}" if lines else "has only comments")
    fused = lines[0].removeprefix("OFF").strip()
    counts, body = (fused, lines[1:]) if fused else (" ".join(lines[1:2]), lines[2:])
    numbers = counts.split()
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        raise _unreadable(path, f"gives its numbers of vertices and faces as {counts[:40]!r}")
    num_vertices, num_faces = int(numbers[0]), int(numbers[1])
    if num_vertices == 0 or num_faces == 0:
        raise _unreadable(path, f"has {num_vertices} vertices and {num_faces} faces")
    return num_vertices, num_faces, body


def _triangulate(faces: list[str]) -> Int64[np.ndarray, "triangles 3"]:
    """Triangles of all faces: polygons of n corners become fans of n - 2, points and lines become none."""
    num_corners = np.array([face.split(maxsplit=1)[0] for face in faces], dtype=np.int64)
    triangles = [np.empty((0, 3), dtype=np.int64)]
    for size in np.unique(num_corners[num_corners >= 3]).tolist():
        of_size = [faces[row] for row in np.flatnonzero(num_corners == size)]
        if min(map(len, of_size)) <= 2 * size:  # a digit and a blank for each corner
            raise ValueError(f"a face announces {size} corners and has fewer columns")
        polygons = np.loadtxt(of_size, dtype=np.int64, usecols=range(1, size + 1), ndmin=2)
        triangles.append(fan_triangles(polygons))
    return np.concatenate(triangles)


def _unreadable(path: Path, found: str) -> DataError:
    return DataError(
        f"{path} {found}.",
        expected="a whole mesh in OFF: the word OFF, the counts, then one line a vertex and one a face",
        remedy="export it anew, or unpack this file from the release again, or take it out",
    )
