"""Repetition: points that repeat within a cloud, clouds without extent, and whole clouds that repeat."""

from collections.abc import Mapping

import numpy as np

from pointlab.data.checks.findings import Finding, Severity, first_ids
from pointlab.data.source import Split

MAX_REPEATED = 0.1
"""Share of exactly repeated points: quantised sensors stay below a few per cent, filled clouds do not."""
FLAT = 1e-3
"""Ratio of the spreads along two principal axes below which a cloud counts as flat: rounding to single
precision leaves 1e-7, the thinnest object some 1e-2."""


def check_points(records: np.ndarray) -> list[Finding]:
    """Clouds filled up by repetition, clouds that are one point, clouds on a plane or a line."""
    spreads = records["spreads"]
    is_constant = records["extent"] == 0
    is_flat = (spreads[:, 0] <= FLAT * spreads[:, 2]) & ~is_constant
    is_filled = (records["repeated"] > MAX_REPEATED) & ~is_constant
    num_lines = int((is_flat & (spreads[:, 1] <= FLAT * spreads[:, 2])).sum())
    largest = float(records["repeated"][is_filled].max(initial=0))
    found = [
        _finding(
            "repeated points",
            "warning",
            records,
            is_filled,
            f"have more than {MAX_REPEATED:.0%} of their points exactly repeated (up to {largest:.0%}), as if"
            " filled up; expected distinct points; ask for fewer, or read the files before they were filled",
        ),
        _finding(
            "constant clouds",
            "warning",
            records,
            is_constant,
            "have all their points in one place; expected an extent; repair the files or leave these out",
        ),
        _finding(
            "flat clouds",
            "note",
            records,
            is_flat,
            f"lie on a plane or a line ({num_lines} on a line); expected three dimensions;"
            " fine for such objects, otherwise a column may have been read twice or as zero",
        ),
    ]
    return [finding for finding in found if finding.count]


def _finding(check: str, severity: Severity, records: np.ndarray, is_such: np.ndarray, what: str) -> Finding:
    ids = records["id"][is_such].tolist()
    return Finding(
        check=check,
        severity=severity,
        count=len(ids),
        of=len(records),
        sample_ids=first_ids(ids),
        message=f"{len(ids)} of {len(records)} clouds {what}",
    )


def check_copies(by_split: Mapping[Split, np.ndarray]) -> list[Finding]:
    """Clouds whose points equal another's, in any order: across splits, with other labels, and plain ones."""
    records = np.concatenate([*by_split.values()])
    splits = np.repeat(np.arange(len(by_split)), [len(part) for part in by_split.values()])
    _, first, group, sizes = np.unique(
        records["digest"], return_index=True, return_inverse=True, return_counts=True
    )
    is_copied = sizes[group] > 1
    crosses = np.isin(group, group[splits != splits[first][group]])
    disagrees = np.isin(group, group[records["label"] != records["label"][first][group]])
    advice = "keep one of each, in one split"
    found = [
        _finding(
            "copies across splits",
            "warning",
            records,
            is_copied & crosses,
            f"are exact copies of each other in several of {', '.join(by_split)}; expected none; {advice}",
        ),
        _finding(
            "copies with other labels",
            "warning",
            records,
            is_copied & disagrees,
            f"are exact copies of each other with differing labels; expected one label; {advice}",
        ),
        _finding(
            "copies within a split",
            "note",
            records,
            is_copied & ~crosses & ~disagrees,
            f"are exact copies of each other within one split and class; {advice} unless that is meant",
        ),
    ]
    return [finding for finding in found if finding.count]
