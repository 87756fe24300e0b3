"""Pictures as files and back: colour as JPEG or PNG, depth as PNG of 16-bit counts."""

import io
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image, UnidentifiedImageError

from pointlab.errors import DataError

JPEG_QUALITY = 90
"""Where compression is hardly seen, at a fifth of the size of a PNG."""
MAX_COUNT = 2**16 - 1
"""What Kinect's exports write, beside 0, where nothing was measured."""
DEPTH_MODES = ("I;16", "I;16B", "I")
"""What Pillow calls pictures of 16 grey bits, by version."""


def encode_colour(
    picture: Float[np.ndarray, "height width 3"], kind: Literal["JPEG", "PNG"] = "JPEG"
) -> bytes:
    """A file of `picture`, whose channels are red, green and blue in 0 to 1."""
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    # full colour resolution: points take their colours from single pixels
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    return _encode(Image.fromarray(levels), kind, **options)


def decode_colour(content: bytes, name: str = "A picture") -> UInt8[np.ndarray, "height width 3"]:
    """Red, green and blue of every pixel, 0 to 255; DataError, which names it, if this is no picture.

    What is transparent is seen before white, and 16 grey bits are scaled to 8.
    """
    image = _open(content, name)
    if image.mode in DEPTH_MODES:  # Pillow itself would clip them at 255
        image = Image.fromarray(np.round(np.asarray(image) / (MAX_COUNT / 255)).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def size_of(content: bytes, name: str = "A picture") -> tuple[int, int]:
    """Width and height by the file's header; DataError, which names it, if this is no picture."""
    image = _open(content, name, whole=False)
    return image.width, image.height


def encode_depth(depth: Float[np.ndarray, "height width"], unit: float) -> bytes:
    """A 16-bit PNG of `depth` in counts of `unit`; 0 stays 0, nothing measured.

    Raises DataError for depths that 16 bits cannot hold.
    """
    counts = np.round(depth / unit)
    if not np.all((counts >= 0) & (counts < MAX_COUNT)):
        raise DataError(
            f"A depth image holds depths from {depth.min():.4g} to {depth.max():.4g}.",
            expected=f"0 to {(MAX_COUNT - 1) * unit:.4g}, which 16 bits hold at a unit of {unit:g}",
            remedy="set what is farther to 0, no measurement, or use a larger unit",
        )
    return _encode(Image.fromarray(counts.astype(np.uint16)), "PNG")


def decode_depth(
    content: bytes, unit: float, name: str = "A depth image"
) -> Float64[np.ndarray, "height width"]:
    """Depth of every pixel in the length that `unit` is given in, 0 where nothing was measured.

    Raises DataError, which names it, if this is no depth image.
    """
    image = _open(content, name)
    if image.mode not in DEPTH_MODES:
        raise DataError(
            f"{name} has pixels of mode {image.mode!r}.",
            expected="one channel of 16 bits",
            remedy="check which of the frame's files is the depth image",
        )
    counts = np.asarray(image)
    return np.where(counts == MAX_COUNT, 0, counts).astype(np.float64) * unit


def _encode(image: Image.Image, kind: str, **options: int) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def _open(content: bytes, name: str, *, whole: bool = True) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        if whole:
            image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read: {error} ({len(content)} bytes).",
            expected="a whole PNG or JPEG file",
            remedy="export or download it again",
        ) from None
    return image
