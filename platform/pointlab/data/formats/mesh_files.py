"""Meshes in OFF, OBJ and STL; what has no surface is refused.

OBJ and STL are read by trimesh, OFF by `off`. trimesh drops faces that it cannot read, and returns an
empty mesh for a damaged STL file, so what it returns is checked against the file.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from pointlab.data.formats.meshes import Mesh
from pointlab.data.formats.off import read_off
from pointlab.data.formats.parsing import parsing, unreadable

STL_HEADER, STL_FACE = 84, 50
"""Bytes of a binary STL file before its faces, and of each face."""


def read_mesh(path: Path) -> Mesh:
    """The mesh in `path`, its polygons cut into triangles; DataError without a surface."""
    suffix = path.suffix.lower()
    if suffix == ".off":
        return read_off(path)
    import trimesh

    what = f"a mesh in {suffix[1:].upper()}"
    with parsing(path, what):
        content = path.read_bytes()
        if suffix == ".stl":
            _require_end(content, path, what)
        loaded = trimesh.load_mesh(
            path,
            process=False,  # vertices and faces as they are in the file
            maintain_order=True,
            skip_materials=True,  # which lie in further files
            group_material=False,
        )
        faces = np.asarray(loaded.faces, dtype=np.int64).reshape(-1, 3)
        if suffix == ".obj" and (announced := _num_triangles(content)) != len(faces):
            raise unreadable(path, f"has {announced} triangles, of which {len(faces)} can be read", what)
        return require_surface(np.asarray(loaded.vertices), faces, path)


def require_surface(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"], path: Path
) -> Mesh:
    """The mesh of these arrays; DataError for faces of absent vertices, or without any area."""
    what = "a mesh with a surface"
    if len(triangles) == 0:
        raise unreadable(path, "has no faces", what)
    if not 0 <= triangles.min() <= triangles.max() < len(vertices):
        found = f"has faces of vertices {triangles.min()} to {triangles.max()}, and {len(vertices)} vertices"
        raise unreadable(path, found, what)
    mesh = Mesh(vertices.astype(np.float64), triangles.astype(np.int64))
    if not np.isfinite(mesh.vertices).all():
        raise unreadable(path, "has vertices that are NaN or infinite", what)
    if not np.linalg.norm(mesh.area_vectors(), axis=1).sum() > 0:
        raise unreadable(path, "has a surface without area", what)
    return mesh


def _num_triangles(content: bytes) -> int:
    """Triangles of all faces of an OBJ file, by their numbers of corners."""
    lines = content.decode("utf-8", "replace").replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    faces = [words for words in map(str.split, lines) if words and words[0] == "f"]
    return sum(max(len(corners) - 3, 1) for corners in faces)


def _require_end(content: bytes, path: Path, what: str) -> None:
    """DataError for an STL file that is neither a whole binary nor a whole text."""
    num_faces = int.from_bytes(content[STL_HEADER - 4 : STL_HEADER], "little")
    is_binary = len(content) == STL_HEADER + STL_FACE * num_faces
    is_text = content.lstrip().startswith(b"solid") and b"endsolid" in content
    if not (is_binary or is_text):
        raise unreadable(path, f"is neither the text nor the {num_faces} faces that it announces", what)
