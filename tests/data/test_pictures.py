"""Pictures as files: depth to the count, colour to the level, and clear words about what is no picture."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pointlab.data.pictures import decode_colour, decode_depth, encode_colour, encode_depth
from pointlab.errors import DataError


@pytest.fixture
def ramp() -> np.ndarray:
    """A smooth picture that uses every level."""
    levels = np.arange(256).reshape(16, 16) / 255
    return np.stack([levels, levels.T, 1 - levels], 2)


def test_depth_survives_to_half_a_count():
    depth = np.random.default_rng(0).uniform(0, 60, size=(12, 9))
    depth[3, 4] = 0.0
    decoded = decode_depth(encode_depth(depth, 0.001), 0.001)
    np.testing.assert_allclose(decoded, depth, atol=0.0005 + 1e-12)
    assert decoded[3, 4] == 0
    counts = np.asarray(Image.open(io.BytesIO(encode_depth(np.full((2, 2), 65.534), 0.001))))
    assert counts.dtype == np.uint16
    assert np.all(counts == 65534)


def test_what_kinect_writes_where_it_measured_nothing_is_no_depth():
    sink = io.BytesIO()
    Image.fromarray(np.array([[65535, 1000], [0, 2]], np.uint16)).save(sink, "PNG")
    assert decode_depth(sink.getvalue(), 0.001).tolist() == [[0, 1], [0, 0.002]]


@pytest.mark.parametrize("depth", [65.535, -0.1, np.nan, np.inf])
def test_depth_that_16_bits_cannot_hold_is_refused(depth):
    with pytest.raises(DataError, match=r"0 to 65.53, which 16 bits hold.*What to do: set what is farther"):
        encode_depth(np.full((2, 2), depth), 0.001)


def test_colour_survives_png_to_the_level_and_jpeg_nearly(ramp):
    levels = np.round(ramp * 255)
    np.testing.assert_array_equal(decode_colour(encode_colour(ramp, "PNG")), levels)
    assert np.abs(decode_colour(encode_colour(ramp)) - levels).mean() < 3


def test_equal_pictures_are_equal_bytes(ramp):
    assert encode_colour(ramp) == encode_colour(ramp.copy())
    assert encode_depth(ramp[..., 0], 0.01) == encode_depth(ramp[..., 0].copy(), 0.01)


def test_a_grey_picture_is_read_as_colour():
    sink = io.BytesIO()
    Image.fromarray(np.full((3, 5), 77, np.uint8)).save(sink, "PNG")
    assert np.all(decode_colour(sink.getvalue()) == 77)
    assert decode_colour(sink.getvalue()).shape == (3, 5, 3)


def test_a_colour_picture_is_no_depth_image(ramp):
    with pytest.raises(DataError, match=r"mode 'RGB'.*Expected: one channel of 16 bits"):
        decode_depth(encode_colour(ramp), 0.001)


def test_a_small_file_that_announces_a_huge_picture_is_refused():
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(DataError, match=r"cannot be read: Image size \(900000000 pixels\)"):
        decode_colour(content)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_is_cut_off_is_refused(kind, share):
    noise = np.random.default_rng(0).random((64, 64, 3))
    content = encode_colour(noise, kind)
    with pytest.raises(DataError, match=r"cannot be read.*What to do: export or download it again"):
        decode_colour(content[: int(share * len(content))])


def test_what_is_transparent_is_white_and_16_grey_bits_become_8() -> None:
    pixels = np.array([[[9, 9, 9, 0], [9, 9, 9, 255]]], np.uint8)
    np.testing.assert_array_equal(decode_colour(png(pixels)), [[[255] * 3, [9] * 3]])
    grey = decode_colour(png(np.array([[0, 30_000, 65_535]], np.uint16)))
    np.testing.assert_array_equal(grey, [[[0] * 3, [117] * 3, [255] * 3]])


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()
