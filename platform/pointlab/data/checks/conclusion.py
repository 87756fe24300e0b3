"""Conclusion: what all checks find in a whole set, from the examinations of its shards."""

from collections.abc import Mapping, Sequence

import numpy as np

from pointlab.data.catalogue import BUILT_IN
from pointlab.data.checks.examination import Examination, gather
from pointlab.data.checks.findings import Finding
from pointlab.data.checks.labels import check_labels
from pointlab.data.checks.leakage import ReadPoints, check_leakage
from pointlab.data.checks.repetition import check_copies, check_points
from pointlab.data.checks.scale import check_scale
from pointlab.data.checks.upright import check_up_axis
from pointlab.data.source import SourceIndex


def conclude(
    examinations: Sequence[Examination],
    index: SourceIndex,
    read_points: ReadPoints,
    dropped: Mapping[str, int] | None = None,
) -> tuple[Finding, ...]:
    """Every finding about the set, the same for any order and any sharding of its examinations.

    `read_points` gives stored points by sample id, for what has to be compared; it is called once at most
    (see `check_leakage`). `dropped` counts the clouds that were left out, by reason.
    """
    by_split = {split: records for split, records in gather(examinations).items() if len(records)}
    if not by_split:
        return tuple(_check_dropped(dropped or {}, 0))
    records = np.concatenate([*by_split.values()])
    is_carved = all(row.split != "validation" for row in index.rows)
    return (
        *_check_dropped(dropped or {}, len(records)),
        *check_labels(by_split, index.class_names),
        *check_points(records),
        *check_copies(by_split),
        *check_scale(records, index.card.scale),
        *check_up_axis(records, index.class_names),
        *check_leakage(
            by_split, read_points, is_carved=is_carved, is_generated=index.card.name == BUILT_IN.name
        ),
    )


def _check_dropped(dropped: Mapping[str, int], num_kept: int) -> list[Finding]:
    """A note of each reason for which clouds were left out."""
    total = num_kept + sum(dropped.values())
    return [
        Finding(
            check="unusable clouds",
            severity="note",
            count=count,
            of=total,
            message=f"{count} of {total} clouds were left out, as each {reason}",
        )
        for reason, count in sorted(dropped.items())
    ]
