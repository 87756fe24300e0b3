"""The clouds of a released corruption set: rows of a prepared set, told apart by the name of their group.

The readers of such sets name the groups `clean` and `<corruption>/<severity>`.
"""

from collections.abc import Iterator

import numpy as np

from pointlab.data.batches import evaluation_arrays, to_batch
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError

CLEAN = "clean"


def has_group(split: CachedSplit, group: str) -> bool:
    """Whether any row belongs to this group."""
    return bool((split.groups == group).any())


def released_batches(split: CachedSplit, group: str, batch_size: int) -> Iterator[PointBatch]:
    """The rows of one group in stored order, each cloud whole; DataError where there are none."""
    rows = np.flatnonzero(split.groups == group)
    if not len(rows):
        known = ", ".join(sorted(set(split.groups.tolist()))[:8])
        raise DataError(
            f"{split.folder.parent.name} has no clouds of the group {group!r}, but of {known or 'none'}.",
            expected="a released corruption set with all that is asked of it",
            remedy="check that every file of the release was prepared, or name what there is in"
            " suite.corruptions and suite.severities",
        )
    for first in range(0, len(rows), batch_size):
        chosen = rows[first : first + batch_size]
        yield to_batch(evaluation_arrays(split, chosen, int(split.lengths(chosen).max())))
