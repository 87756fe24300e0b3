"""The pixels of the points of a cached split: for each colour picture, where it shows its cloud's points.

They are computed on demand, once on each machine, from the shards and their cameras, and kept beside the
split's arrays: a batch only gathers. Eight bytes for each point of each picture.
"""

import contextlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.correspondence import UNSEEN, Reason, seen_pixels
from pointlab.data.growing import GrowingArray
from pointlab.data.locking import locked
from pointlab.data.pictures import size_of
from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.shards import decode_clouds
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
PIXELS = "pixels"
"""Folder of a cached split that holds them."""
LAYOUT = "1"
"""What is written and how it is computed; what another version left is made anew."""
WORDS = {
    Reason.BEHIND: "behind the camera",
    Reason.OUTSIDE: "outside the picture",
    Reason.HIDDEN: "hidden",
    Reason.IN_FRONT: "in front of what was measured",
    Reason.UNMEASURED: "where nothing was measured",
    Reason.NO_CAMERA: "in pictures by an unknown camera",
}


class CachedPixels:
    """Pixels of the points in each picture of a split, by its number within the split."""

    def __init__(self, folder: Path) -> None:
        """Map what was written."""
        self._pixels = np.load(folder / "pixels.npy", mmap_mode="r").view(np.ndarray)
        self._borders, self._sizes = (np.load(folder / f"{name}.npy") for name in ("borders", "sizes"))
        self.counts: Mapping[str, int] = json.loads((folder / "counts.json").read_text())

    def gather(
        self, numbers: Int64[np.ndarray, " clouds"], places: Int64[np.ndarray, "clouds places"]
    ) -> Float32[np.ndarray, "clouds places 2"]:
        """(column, row) in these pictures of their clouds' points at these places of the stored order.

        (-1, -1) where a picture does not show a point, and throughout for `NO_PICTURE`; a place past a
        cloud's end holds anything.
        """
        is_there = numbers != NO_PICTURE
        if not is_there.any():
            return np.full((*places.shape, 2), UNSEEN, np.float32)
        at = self._borders[np.where(is_there, numbers, 0)][:, None] + places
        found: Float32[np.ndarray, "clouds places 2"] = np.take(self._pixels, at, axis=0, mode="clip")
        found[~is_there] = UNSEEN
        return found

    def sizes(self, numbers: Int64[np.ndarray, " pictures"]) -> Int64[np.ndarray, "pictures 2"]:
        """Width and height of each of these pictures as stored; 1 by 1 for `NO_PICTURE`."""
        is_there = numbers != NO_PICTURE
        if not is_there.any():
            return np.ones((len(numbers), 2), np.int64)
        return np.where(is_there[:, None], self._sizes[np.where(is_there, numbers, 0)], 1)


def open_pixels(split: Path, read_shards: Callable[[], Iterable[bytes]]) -> CachedPixels:
    """The pixels beside the cached arrays of a split; computed first if they are not there."""
    folder = split / PIXELS
    try:
        if not _is_written(folder):
            with locked(split / "pixels.lock"):
                if not _is_written(folder):  # otherwise another process was quicker
                    _fill(folder, read_shards())
        return CachedPixels(folder)
    except OSError as error:
        raise DataError(
            f"The pixels of points cannot be kept in {split}: {error}.",
            expected="a folder on a local disk with room for 8 bytes a point and picture",
            remedy="point POINTLAB_CACHE elsewhere, or free some space",
        ) from error


def _is_written(folder: Path) -> bool:
    try:
        return (folder / "layout").read_text() == LAYOUT
    except FileNotFoundError:
        return False


def _fill(folder: Path, contents: Iterable[bytes]) -> None:
    """Write aside, where a dot keeps the set from being forgotten meanwhile, and rename."""
    split = folder.parent
    logger.info("Computing where pictures of %s show its points, once on this machine", _name(split))
    with tempfile.TemporaryDirectory(dir=split.parent, prefix=f".{split.name}-pixels-") as aside:
        written = Path(aside) / PIXELS
        counts = write_pixels(written, contents)
        (written / "layout").write_text(LAYOUT)
        with contextlib.suppress(FileNotFoundError):  # of another version
            folder.rename(Path(aside) / "outdated")
        written.rename(folder)
    logger.info("Pixels of %s: %s", _name(split), in_words(counts))


def _name(split: Path) -> str:
    return f"{split.parent.name}, {split.name}"


def write_pixels(folder: Path, contents: Iterable[bytes]) -> dict[str, int]:
    """The pixels in all pictures of these shards, one shard in memory at a time; what was counted.

    Raises DataError where a picture has another size than its camera.
    """
    folder.mkdir()
    lengths, sizes = [0], []
    counts = Counter({"pictures": 0, "cameras": 0} | {reason.name.lower(): 0 for reason in Reason})
    with GrowingArray(folder / "pixels.npy", np.zeros((0, 2), np.float32)) as pixels:
        for cloud, view, picture in _pictured(contents):
            seen = seen_pixels(cloud.points, view)
            pixels.append(seen.pixels)
            lengths.append(len(seen.pixels))
            sizes.append((picture.camera.width, picture.camera.height))
            counts.update({"pictures": 1, "cameras": int(picture.has_camera)})
            counts.update({reason.name.lower(): count for reason, count in seen.counts.items()})
    np.save(folder / "borders.npy", np.cumsum(lengths)[:-1])
    np.save(folder / "sizes.npy", np.array(sizes, np.int64).reshape(-1, 2))
    (folder / "counts.json").write_text(json.dumps(counts))
    return dict(counts)


def _pictured(contents: Iterable[bytes]) -> Iterator[tuple[Cloud, View, Picture]]:
    """Each colour picture of these shards, in the order of their numbers, with its view and its cloud."""
    for content in contents:
        for prepared in decode_clouds(content):
            for view in prepared.cloud.views:
                if view.colour is not None:
                    _require_size(view.colour, prepared.sample_id)
                    yield prepared.cloud, view, view.colour


def _require_size(picture: Picture, owner: int) -> None:
    """Nothing, where the file has the size of its camera: pixels of another would be wrong, silently."""
    found, camera = size_of(picture.content, f"A picture of cloud {owner}"), picture.camera
    if found != (camera.width, camera.height):
        raise DataError(
            f"A picture of cloud {owner} has {found[0]} x {found[1]} pixels, and its camera"
            f" {camera.width} x {camera.height}.",
            expected="a camera for the picture as it is",
            remedy="give the camera of the resized picture (Pinhole.resized) and prepare the set again",
        )


def in_words(counts: Mapping[str, int]) -> str:
    """How many points are seen in how many pictures, and why the others are not."""
    reasons = {reason: counts[reason.name.lower()] for reason in Reason}
    total = max(1, sum(reasons.values()))
    shares = [
        f"{100 * count / total:.1f} % {WORDS[reason]}"
        for reason, count in reasons.items()
        if count and reason is not Reason.SEEN
    ]
    found = f"{reasons[Reason.SEEN]:,} of {total:,} points ({100 * reasons[Reason.SEEN] / total:.1f} %)"
    return f"{found} are seen in {counts['pictures']:,} pictures" + "; ".join(["", *shares])
