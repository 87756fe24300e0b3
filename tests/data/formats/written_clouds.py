"""Small clouds and meshes in true files of every format, written with the libraries that define them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import laspy
import numpy as np
import trimesh
from pypcd4 import Encoding, PointCloud

SCALE = 1 / 1024
"""Step of LAS coordinates that float32 holds exactly."""
CUBE_AREA, CUBE_HALF = 24.0, 1.0


@dataclass(frozen=True)
class Written:
    """Arrays as they should come back from a file."""

    points: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    labels: np.ndarray | None = None


def make(num_points: int = 12, seed: int = 0) -> Written:
    """Points on a grid of 1/1024, unit normals, colours in bytes, labels 0 to 4."""
    random = np.random.default_rng(seed)
    normals = random.normal(size=(num_points, 3))
    return Written(
        (random.integers(-4096, 4096, (num_points, 3)) * SCALE).astype(np.float32),
        (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        random.integers(0, 256, (num_points, 3)).astype(np.uint8),
        random.integers(0, 5, num_points),
    )


def write_npy(path: Path, cloud: Written) -> Written:
    np.save(path, cloud.points)
    return Written(cloud.points)


def write_npz(path: Path, cloud: Written) -> Written:
    np.savez(path, points=cloud.points, normals=cloud.normals, rgb=cloud.colours, labels=cloud.labels)
    return cloud


def write_text(path: Path, cloud: Written) -> Written:
    table = np.concatenate([cloud.points, cloud.colours, cloud.labels[:, None]], axis=1)
    np.savetxt(path, table, fmt="%.9g", header="x y z r g b label", newline="\r\n")
    return Written(cloud.points, colours=cloud.colours, labels=cloud.labels)


def ply_table(cloud: Written) -> np.ndarray:
    """The vertices of a PLY file with every property."""
    names = ["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "label"]
    types = ["<f4"] * 6 + ["u1"] * 3 + ["<u2"]
    table = np.empty(len(cloud.points), dtype=list(zip(names, types, strict=True)))
    for column, name in enumerate(names):
        source = (cloud.points, cloud.normals, cloud.colours, cloud.labels[:, None])[min(column // 3, 3)]
        table[name] = source[:, column % 3 if column < 9 else 0]
    return table


def write_ply_table(path: Path, table: np.ndarray, encoding: str = "binary_little_endian") -> None:
    """A PLY file of these vertices; its header by hand, as trimesh writes no normals of mere points."""
    kinds = {"f": "float", "u": {1: "uchar", 2: "ushort"}}
    lines = ["ply", f"format {encoding} 1.0", f"element vertex {len(table)}"]
    for name in table.dtype.names:
        kind = kinds[table[name].dtype.kind]
        lines.append(f"property {kind if isinstance(kind, str) else kind[table[name].dtype.itemsize]} {name}")
    header = "\n".join([*lines, "end_header"]) + "\n"
    rows = "".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in table.tolist())
    path.write_bytes(header.encode() + (rows.encode() if encoding == "ascii" else table.tobytes()))


def write_ply(path: Path, cloud: Written) -> Written:
    write_ply_table(path, ply_table(cloud))
    return cloud


def write_ply_ascii(path: Path, cloud: Written) -> Written:
    write_ply_table(path, ply_table(cloud), "ascii")
    return cloud


def write_ply_by_trimesh(path: Path, cloud: Written) -> Written:
    trimesh.PointCloud(cloud.points, colors=cloud.colours).export(path)
    return Written(cloud.points, colours=cloud.colours)


def pcd_writer(encoding: Encoding) -> Callable[[Path, Written], Written]:
    def write(path: Path, cloud: Written) -> Written:
        fields = ("x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z", "label")
        colours = PointCloud.encode_rgb(cloud.colours).reshape(-1)
        if encoding is Encoding.ASCII:  # decimals would lose the bits of a packed float
            colours = colours.view(np.uint32)
        types = (*[np.float32] * 3, colours.dtype, *[np.float32] * 3, np.uint32)
        arrays = [*cloud.points.T, colours, *cloud.normals.T, cloud.labels.astype(np.uint32)]
        PointCloud.from_points(arrays, fields, types).save(path, encoding=encoding)
        return cloud

    return write


def write_las(path: Path, cloud: Written) -> Written:
    header = laspy.LasHeader(point_format=2, version="1.2")
    header.scales, header.offsets = [SCALE] * 3, [7.0, 0.0, -3.0]
    las = laspy.LasData(header)
    las.x, las.y, las.z = cloud.points.astype(np.float64).T
    las.red, las.green, las.blue = (cloud.colours.astype(np.uint16) * 257).T
    las.classification = cloud.labels.astype(np.uint8)
    las.write(path)
    return Written(cloud.points, colours=cloud.colours, labels=cloud.labels)


CLOUD_FILES: dict[str, tuple[str, Callable[[Path, Written], Written]]] = {
    "npy": ("a.npy", write_npy),
    "npz": ("a.npz", write_npz),
    "text with comment and CRLF": ("a.txt", write_text),
    "xyz": ("a.xyz", write_text),
    "binary ply": ("a.ply", write_ply),
    "ascii ply": ("a.ply", write_ply_ascii),
    "ply of trimesh": ("a.ply", write_ply_by_trimesh),
    "ascii pcd": ("a.pcd", pcd_writer(Encoding.ASCII)),
    "binary pcd": ("a.pcd", pcd_writer(Encoding.BINARY)),
    "compressed pcd": ("a.pcd", pcd_writer(Encoding.BINARY_COMPRESSED)),
    "las": ("a.las", write_las),
    "laz": ("a.LAZ", write_las),
}
"""Name -> file and writer, which returns what should come back."""


def write_cube(path: Path, **settings: str) -> None:
    """A cube from -1 to 1, in the format of the path's extension; the numbers in an OFF file are spaced."""
    trimesh.creation.box((2, 2, 2)).export(path, **settings)


MESH_FILES: dict[str, tuple[str, dict[str, str]]] = {
    "off": ("a.off", {}),
    "obj": ("a.obj", {}),
    "binary stl": ("a.stl", {"file_type": "stl"}),
    "ascii stl": ("a.STL", {"file_type": "stl_ascii"}),
    "binary ply": ("a.ply", {}),
    "ascii ply": ("a.ply", {"encoding": "ascii"}),
}
