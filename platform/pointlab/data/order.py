"""The order of training samples: a function of (seed, epoch) alone, addressed by one integer.

Position p of the stream is row `permutation(seed, p // n)[p % n]` of a split with n rows. The stream runs
on across epoch borders, so nothing is dropped; every worker computes its own part of it, and resuming at
a position needs nothing but the position.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pointlab.seeding import generator


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num_rows: int) -> np.ndarray:
    """Row numbers of one epoch in training order."""
    return generator("sample order", seed, epoch).permutation(num_rows)


def locate(positions: np.ndarray, seed: int, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Epoch and row of each stream position."""
    epochs, within = np.divmod(positions, num_rows)
    rows = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs):
        members = epochs == epoch
        rows[members] = permutation(seed, int(epoch), num_rows)[within[members]]
    return epochs, rows


def num_steps(num_rows: int, epochs: float, batch_size: int) -> int:
    """Steps that show every row at least `epochs` times; the last batch is filled from the next epoch."""
    return max(1, math.ceil(num_rows * epochs / batch_size))


@dataclass(frozen=True)
class Share:
    """Which part of every global batch a worker takes, and in how many micro-batches.

    The global batch is cut into `world_size * accumulation` micro-batches whose sizes differ by at most
    one; rank r takes `accumulation` of them in a row. One worker with accumulation k therefore sees the
    same micro-batches, in the same order, as k workers.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1
    accumulation: int = 1

    @property
    def borders(self) -> list[tuple[int, int]]:
        """First and past-the-last position within the global batch of each own micro-batch."""
        parts = self.world_size * self.accumulation
        cuts = [self.batch_size * part // parts for part in range(parts + 1)]
        own = range(self.rank * self.accumulation, (self.rank + 1) * self.accumulation)
        return [(cuts[part], cuts[part + 1]) for part in own]

    @property
    def size(self) -> int:
        """Samples of each global batch that this worker takes."""
        return self.borders[-1][1] - self.borders[0][0]

    def positions(self, step: int) -> np.ndarray:
        """Stream positions of this worker's samples at `step`."""
        first = step * self.batch_size + self.borders[0][0]
        return np.arange(first, first + self.size)
