"""Captions of a split: a hash for each cloud, which a batch can carry, and the texts behind the hashes."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from pointlab.seeding import stable_integer

CAPTIONS = "captions"
"""Folder of a cached split that holds them, where any cloud has one."""
NO_CAPTION = -1
"""In the place of a hash."""


def caption_hash(caption: str | None) -> int:
    """63 bits that stand for the text, equal on every machine; `NO_CAPTION` where there is none."""
    return stable_integer("caption", caption) if caption else NO_CAPTION


class CaptionWriter:
    """Collects the captions of a split, shard by shard."""

    def __init__(self) -> None:
        """Begin with none."""
        self._hashes: list[int] = []
        self._texts: dict[int, str] = {}

    def append(self, captions: Sequence[str | None]) -> None:
        """Add those of further clouds."""
        for caption in captions:
            identity = caption_hash(caption)
            self._hashes.append(identity)
            if caption:
                self._texts[identity] = caption

    def save(self, folder: Path) -> None:
        """Write hashes and texts, or nothing at all where there are no captions."""
        if not self._texts:
            return
        folder.mkdir()
        np.save(folder / "hashes.npy", np.array(self._hashes, np.int64))
        (folder / "texts.json").write_text(json.dumps(self._texts, ensure_ascii=False), encoding="utf-8")


class CachedCaptions:
    """Captions of the clouds of a split: `hashes` of one a cloud, and the texts behind them."""

    def __init__(self, folder: Path) -> None:
        """Map what was written, so that it can be read although its files may have gone by then."""
        self.hashes = np.load(folder / "hashes.npy", mmap_mode="r").view(np.ndarray)
        self._encoded = np.memmap(folder / "texts.json", np.uint8, mode="r")

    @cached_property
    def texts(self) -> dict[int, str]:
        """The captions by their hashes."""
        return {int(identity): text for identity, text in json.loads(self._encoded.tobytes()).items()}
