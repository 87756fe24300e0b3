"""One cloud from one file, in any of the common formats, by the file's extension."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from pointlab.data.formats.cloud_fields import PER_POINT, PerPoint, Shift, cloud_from_fields, to_float32
from pointlab.data.formats.mesh_files import read_mesh, require_surface
from pointlab.data.formats.meshes import Mesh, sample_surface
from pointlab.data.formats.number_files import Column, Fields, read_npy, read_npz, read_text
from pointlab.data.formats.ply import read_ply
from pointlab.data.formats.point_files import read_las, read_pcd
from pointlab.data.sample import Cloud
from pointlab.errors import DataError

Extension = Literal[".npy", ".npz", ".txt", ".xyz", ".pcd", ".las", ".laz", ".ply", ".off", ".obj", ".stl"]
"""All that `read_cloud_file` reads; in files also in upper case."""
EXTENSIONS: tuple[Extension, ...] = get_args(Extension)
TABLES: dict[str, Callable[[Path, Sequence[Column] | None], Fields]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".txt": read_text,
    ".xyz": read_text,
}
"""Formats whose columns have no names."""
POINTS: dict[str, Callable[[Path], Fields]] = {".pcd": read_pcd, ".las": read_las, ".laz": read_las}
MESHES = (".off", ".obj", ".stl")


def read_cloud_file(
    path: Path,
    num_points_of_meshes: int | None,
    random: np.random.Generator,
    *,
    columns: Sequence[Column] | None = None,
    arrays: Collection[PerPoint] = PER_POINT,
    shift: Shift | None = None,
) -> Cloud:
    """The cloud in `path`, in the axes of the file, moved by `shift`.

    Meshes are sampled evenly with `random`, as many points as said; None takes their vertices as they are.
    `columns` names the columns of npy, npz and text files where they are not clear, `arrays` what is read
    beside the points. Raises DataError, which names the file, for whatever is wrong with it.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return cloud_from_fields(TABLES[suffix](path, columns), path, arrays, shift)
    if suffix in POINTS:
        return cloud_from_fields(POINTS[suffix](path), path, arrays, shift)
    if suffix == ".ply":
        return _read_ply(path, num_points_of_meshes, random, arrays, shift)
    if suffix in MESHES:
        return _from_mesh(_moved(read_mesh(path), path, shift), num_points_of_meshes, random, arrays)
    raise DataError(
        f"{path} has the extension {path.suffix!r}.",
        expected=f"one of {', '.join(EXTENSIONS)}",
        remedy="convert the file, or take it out",
    )


def _read_ply(
    path: Path,
    num_points: int | None,
    random: np.random.Generator,
    arrays: Collection[PerPoint],
    shift: Shift | None,
) -> Cloud:
    """A PLY file's vertices if it has no faces, else its surface."""
    ply = read_ply(path)
    cloud = cloud_from_fields(ply.vertices, path, arrays, shift)
    if ply.triangles is None or num_points is None:
        return cloud
    mesh = require_surface(cloud.points, ply.triangles, path)
    return _from_mesh(mesh, num_points, random, arrays)


def _from_mesh(
    mesh: Mesh, num_points: int | None, random: np.random.Generator, arrays: Collection[PerPoint]
) -> Cloud:
    if num_points is None:
        return Cloud(mesh.vertices.astype(np.float32))
    points, normals = sample_surface(mesh, num_points, random)
    return Cloud(points, normals=normals if "normals" in arrays else None)


def _moved(mesh: Mesh, path: Path, shift: Shift | None) -> Mesh:
    """The mesh moved by `shift`, in double precision; DataError where single would cost detail."""
    to_float32(mesh.vertices, path, shift)
    return mesh if shift is None else Mesh(mesh.vertices + np.array(shift), mesh.triangles)
