"""The clouds of a released corruption set: rows of a prepared set, told apart by the name of their group.

The readers of such sets name the groups `clean` and `<corruption>/<severity>`.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from pointlab.data.batches import evaluation_arrays, to_batch
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError

CLEAN = "clean"


def has_group(split: CachedSplit, group: str) -> bool:
    """Whether any row belongs to this group."""
    return bool((split.groups == group).any())


def require_whole(split: CachedSplit, groups: Iterable[str]) -> None:
    """Raise DataError unless all these groups are there, and every group of the split has as many clouds.

    A release holds the same clouds under every condition, so that another number is one that lacks some.
    """
    found, counts = np.unique(split.groups, return_counts=True)
    clouds = dict(zip(found.tolist(), counts.tolist(), strict=True))
    for group in groups:
        if group not in clouds:
            raise _lacks(split, group)
    if not clouds:
        return
    expected = clouds.get(CLEAN, max(clouds.values()))
    differing = [f"{group} has {count}" for group, count in clouds.items() if count != expected]
    if differing:
        raise DataError(
            f"Groups of {split.folder.parent.name} are not of one size: {', '.join(differing[:8])}.",
            expected=f"{expected} clouds in each, as in {CLEAN if CLEAN in clouds else 'the largest'}",
            remedy="download the files of these groups again, and prepare the set anew",
        )


def released_batches(split: CachedSplit, group: str, batch_size: int) -> Iterator[PointBatch]:
    """The rows of one group in stored order, each cloud whole; DataError where there are none."""
    rows = np.flatnonzero(split.groups == group)
    if not len(rows):
        raise _lacks(split, group)
    for first in range(0, len(rows), batch_size):
        chosen = rows[first : first + batch_size]
        yield to_batch(evaluation_arrays(split, chosen, int(split.lengths(chosen).max())))


def _lacks(split: CachedSplit, group: str) -> DataError:
    known = ", ".join(sorted(set(split.groups.tolist()))[:8])
    return DataError(
        f"{split.folder.parent.name} has no clouds of the group {group!r}, but of {known or 'none'}.",
        expected="a released corruption set with all that is asked of it",
        remedy="check that every file of the release was prepared, or name what there is in"
        " suite.corruptions and suite.severities",
    )
