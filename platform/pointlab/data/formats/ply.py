"""PLY files, ASCII or binary: the properties of their vertices, and their faces cut into triangles.

    ply
    format binary_little_endian 1.0
    element vertex 8
    property float x                           a number a vertex
    element face 6
    property list uchar int vertex_indices     its number of corners, then their vertices
    end_header

"The PLY polygon file format" (Turk, 1994); its description says which types there are.
"""

# Parsed here, although trimesh knows the format: trimesh keeps three or four corners of every face in
# silence, and refuses binary files whose faces differ in their numbers of corners.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from pointlab.data.formats.meshes import fan_triangles
from pointlab.data.formats.number_files import Fields
from pointlab.data.formats.parsing import parsing, unreadable

WHAT = "a PLY file"
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")
"""What programs call the list of a face's vertices."""
MAX_LINE, MAX_LINES = 4096, 1000
"""Bounds of a header, so that a file that is none is not read to its end."""
WORD = np.dtype("<f8")
"""How the words of an ASCII file are kept: doubles hold every number of its types exactly."""


@dataclass(frozen=True)
class Ply:
    """Properties of the vertices of a PLY file by name, and its faces cut into triangles, if it has any."""

    vertices: Fields
    triangles: Int64[np.ndarray, "triangles 3"] | None


@dataclass(frozen=True)
class Property:
    """A number of type `kind`, kept as `stored`; or a list of such, behind its length of type `count`."""

    name: str
    kind: np.dtype
    stored: np.dtype
    count: np.dtype | None = None


@dataclass
class Element:
    """What the header says of the rows of a vertex, a face or another thing."""

    name: str
    length: int
    properties: list[Property] = field(default_factory=list)

    def least_size(self) -> int:
        """Bytes that a row takes at least: all its lists may be empty."""
        return sum((each.count or each.stored).itemsize for each in self.properties)


def read_ply(path: Path) -> Ply:
    """Vertices and faces of a PLY file; DataError for one that is not whole, to the byte."""
    with parsing(path, WHAT):
        with path.open("rb") as stream:
            order, elements = _read_header(stream)
            content = stream.read()
        if not order:
            content = np.array(content.split(), dtype=WORD).tobytes()
        body = np.frombuffer(content, np.uint8)
        vertices: Fields | None = None
        triangles = None
        for element in elements:
            rows, body = _split_rows(body, element)
            if element.name == "vertex" and element.length:
                vertices = _numbers(rows, element)
            if element.name == "face" and element.length:
                triangles = _triangulate(rows, element)
        if len(body):
            raise ValueError("something follows the last of the rows that it announces")
        if vertices is None:
            raise unreadable(path, "has no vertex in it", WHAT)
        return Ply(vertices, triangles)


def _read_header(stream: BinaryIO) -> tuple[str, list[Element]]:
    """Byte order, empty for ASCII, and the elements; leaves `stream` at the first row."""
    if stream.readline(MAX_LINE).strip() != b"ply":
        raise ValueError("it does not begin with the word ply")
    order, elements = None, list[Element]()
    for words in _header_lines(stream):
        if words[0] == "format":
            order = ORDERS[words[1]]
        elif words[0] == "element":
            elements.append(Element(words[1], _whole(words[2])))
        elif words[0] == "property":
            elements[-1].properties.append(_property(words, order))
    if order is None:
        raise ValueError("its header names no format")
    return order, elements


def _header_lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The words of each line up to the end of the header."""
    for _ in range(MAX_LINES):
        words = stream.readline(MAX_LINE).decode("latin-1").split()
        if words == ["end_header"]:
            return
        if words:
            yield words
    raise ValueError("its header has no end")


def _whole(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"{word!r} is no number of rows")
    return int(word)


def _property(words: list[str], order: str | None) -> Property:
    """The property of a line `property TYPE NAME` or `property list TYPE TYPE NAME`."""

    def stored(word: str) -> np.dtype:
        return np.dtype((order or "") + TYPES[word]) if order else WORD

    if words[1] == "list":
        return Property(words[4], np.dtype(TYPES[words[3]]), stored(words[3]), stored(words[2]))
    return Property(words[2], np.dtype(TYPES[words[1]]), stored(words[1]))


@dataclass(frozen=True)
class Rows:
    """Bytes of an element, where its rows begin, and the lengths of the lists in each."""

    content: UInt8[np.ndarray, " bytes"]
    offsets: Mapping[str, Int64[np.ndarray, " rows"]]
    lengths: Mapping[str, Int64[np.ndarray, " rows"]]
    stride: int | None = None
    """Bytes from each row to the next, where that is always the same."""

    def take(
        self, each: Property, which: Shaped[np.ndarray, " rows"] | slice, width: int
    ) -> Shaped[np.ndarray, "rows width"]:
        """`width` numbers of the property in these rows, of the type that is announced."""
        size, offsets = each.stored.itemsize, self.offsets[each.name]
        if self.stride is not None:
            shape, strides = (len(offsets), width), (self.stride, size)
            values = np.ndarray(shape, each.stored, self.content, int(offsets[0]), strides)[which]
        else:
            places = offsets[which, None] + np.arange(width * size)
            values = self.content[places].reshape(-1).view(each.stored).reshape(-1, width)
        with np.errstate(invalid="ignore", over="ignore"):
            converted = values.astype(each.kind)
        if each.kind.kind in "iu" and not np.array_equal(converted, values):
            raise ValueError(f"its property {each.name} has values that are no {each.kind}")
        return converted


def _split_rows(
    body: UInt8[np.ndarray, " bytes"], element: Element
) -> tuple[Rows, UInt8[np.ndarray, " rest"]]:
    """The rows of `element`, with which `body` begins, and the rest; ValueError where they are cut short."""
    if element.length * element.least_size() > len(body):
        raise ValueError(f"it announces {element.length} of the element {element.name}, and ends before")
    if not element.length:
        return Rows(body[:0], {}, {}), body
    first = _walk(body, element, 1)
    if element.length * first[1] <= len(body):
        rows = _repeated(body, element, *first)
        if rows is not None:
            return rows, body[element.length * first[1] :]
    rows, size = _walk(body, element, element.length)
    return rows, body[size:]


def _repeated(body: UInt8[np.ndarray, " bytes"], element: Element, first: Rows, stride: int) -> Rows | None:
    """All rows, if their lists are as long as those of the first; they then lie at equal distances."""
    starts = np.arange(element.length) * stride
    offsets = {name: offset[0] + starts for name, offset in first.offsets.items()}
    lengths = {name: np.full(element.length, length[0]) for name, length in first.lengths.items()}
    rows = Rows(body, offsets, lengths, stride)
    for each in element.properties:
        if each.count is not None:
            found = _counts(body, offsets[each.name] - each.count.itemsize, each.count)
            if not np.array_equal(found, lengths[each.name]):
                return None
    return rows


def _counts(
    body: UInt8[np.ndarray, " bytes"], offsets: Int64[np.ndarray, " rows"], kind: np.dtype
) -> Shaped[np.ndarray, " rows"]:
    return body[offsets[:, None] + np.arange(kind.itemsize)].reshape(-1).view(kind)


def _walk(body: UInt8[np.ndarray, " bytes"], element: Element, num_rows: int) -> tuple[Rows, int]:
    """The first rows, each found from the end of the one before, and the bytes of them all."""
    content, place = body.data, 0
    offsets: dict[str, list[int]] = {each.name: [] for each in element.properties}
    lengths: dict[str, list[int]] = {each.name: [] for each in element.properties if each.count is not None}
    for _ in range(num_rows):
        for each in element.properties:
            width = 1
            if each.count is not None:
                if place + each.count.itemsize > len(body):
                    raise ValueError(f"a list of its element {element.name} goes beyond its end")
                count = np.frombuffer(content[place : place + each.count.itemsize], each.count)
                if not 0 <= count[0] < len(body) or count[0] != int(count[0]):
                    raise ValueError(f"a list of its element {element.name} goes beyond its end")
                width, place = int(count[0]), place + each.count.itemsize
                lengths[each.name].append(width)
            offsets[each.name].append(place)
            place += width * each.stored.itemsize
        if place > len(body):
            raise ValueError(f"it announces {element.length} of the element {element.name}, and ends before")
    places = {name: np.array(each) for name, each in offsets.items()}
    return Rows(body, places, {name: np.array(each) for name, each in lengths.items()}), place


def _numbers(rows: Rows, element: Element) -> Fields:
    """The properties that are no lists."""
    return {
        each.name: rows.take(each, slice(None), 1)[:, 0] for each in element.properties if each.count is None
    }


def _triangulate(rows: Rows, element: Element) -> Int64[np.ndarray, "triangles 3"]:
    """Triangles of all faces: polygons become fans, those of fewer than three corners none."""
    corners = next(
        (each for each in element.properties if each.name in CORNERS and each.count is not None), None
    )
    if corners is None:
        raise ValueError(f"its faces have no list {' or '.join(CORNERS)}")
    lengths = rows.lengths[corners.name]
    triangles = [np.empty((0, 3), dtype=np.int64)]
    for size in np.unique(lengths[lengths >= 3]).tolist():
        polygons = rows.take(corners, np.flatnonzero(lengths == size), size)
        triangles.append(fan_triangles(polygons.astype(np.int64)))
    return np.concatenate(triangles)
