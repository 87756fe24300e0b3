"""PLY files give all of their surface, in every encoding, or an error."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pointlab.data.formats.cloud_files import read_cloud_file
from pointlab.data.formats.ply import read_ply
from pointlab.errors import DataError
from pointlab.seeding import generator

HEXAGON = [(np.cos(turn), np.sin(turn), 0.0) for turn in np.arange(6) * np.pi / 3]
ENCODINGS = ["ascii", "binary_little_endian", "binary_big_endian"]


def write(
    path: Path, encoding: str, faces: list[list[int]], vertices: list[tuple[float, ...]] = HEXAGON
) -> None:
    """A mesh whose faces carry a number before and after the list of their corners."""
    header = (
        f"ply\nformat {encoding} 1.0\ncomment a mesh\nelement vertex {len(vertices)}\n"
        "property float x\nproperty double y\nproperty float z\n"
        f"element face {len(faces)}\nproperty uchar before\nproperty list uchar int vertex_indices\n"
        "property short after\nend_header\n"
    )
    if encoding == "ascii":
        rows = [" ".join(map(repr, map(float, vertex))) for vertex in vertices]
        rows += [" ".join(map(str, [9, len(face), *face, -3])) for face in faces]
        path.write_text(header + "\n".join(rows) + "\n")
        return
    order = "<" if "little" in encoding else ">"
    body = b"".join(struct.pack(order + "fdf", *vertex) for vertex in vertices)
    body += b"".join(struct.pack(f"{order}BB{len(face)}ih", 9, len(face), *face, -3) for face in faces)
    path.write_bytes(header.encode() + body)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_polygons_of_any_number_of_corners_keep_their_whole_surface(encoding: str, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", encoding, [[0, 1, 2, 3, 4, 5]])
    ply = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(ply.triangles, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    np.testing.assert_allclose(np.stack([ply.vertices[axis] for axis in "xyz"], 1), HEXAGON, atol=1e-7)
    cloud = read_cloud_file(tmp_path / "a.ply", 600, generator("test"))
    assert (cloud.points[:, 1] < 0).mean() == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_faces_of_different_numbers_of_corners_are_read_together(encoding: str, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", encoding, [[0, 1, 2], [0, 2, 3, 4], [4, 5], [0, 4, 5]])
    triangles = read_ply(tmp_path / "a.ply").triangles
    assert sorted(triangles.tolist()) == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("faces", [[[0, 1, 2], [2, 3, 4]], [[0, 1, 2], [2, 3, 4, 5]]])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_is_whole_to_the_last_byte_or_word(
    encoding: str, faces: list[list[int]], change: int, tmp_path: Path
) -> None:
    write(tmp_path / "a.ply", encoding, faces)
    content = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(content[:-3] if change < 0 else content + b" 7")
    with pytest.raises(DataError, match=r"a\.ply cannot be read as a PLY file: "):
        read_ply(tmp_path / "a.ply")


HEADERS = {
    "many vertices": ("element vertex 6", "element vertex 1000000000000", "announces 1000000000000 of"),
    "many faces": ("element face 1", "element face 1000000000000", "announces 1000000000000 of"),
    "no number": ("element face 1", "element face -1", "'-1' is no number of rows"),
    "a long list": (" 3 0 1 2 ", " 4000000000 0 1 2 ", "goes beyond its end"),
    "half a corner": (" 3 0 1 2 ", " 3 0 1.5 2 ", "vertex_indices has values that are no int32"),
    "an unknown format": ("format ascii", "format text", "no 'text'"),
    "other faces": ("vertex_indices", "corners", "no list vertex_indices or vertex_index"),
    "no end": ("end_header", "end", "its header has no end"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_the_header_announces_is_compared_with_the_file(name: str, tmp_path: Path) -> None:
    old, new, message = HEADERS[name]
    write(tmp_path / "a.ply", "ascii", [[0, 1, 2]])
    content = (tmp_path / "a.ply").read_text()
    assert old in content
    (tmp_path / "a.ply").write_text(content.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_ply(tmp_path / "a.ply")
