"""Scale: whether sizes are what the card declares, and whether one unit was used throughout."""

import numpy as np

from pointlab.data.catalogue import Scale
from pointlab.data.checks.findings import Finding, first_ids

CHECK = "scale"
SPHERE_TOLERANCE = 0.1
"""About the mean of a part of the points, which is off the mean of all by a few per cent."""
SMALLEST_METRES, LARGEST_METRES = 0.02, 200.0
"""Longest sides of a bottle's cap and of a building: what indoor and object sets hold lies between."""
MIXED = 50.0
"""Ratio to the median size: centimetres among metres are a hundredfold, objects of one set rarely fifty."""


def check_scale(records: np.ndarray, scale: Scale) -> list[Finding]:
    """Clouds whose size is not as declared, and clouds whose size is far from the median of the set."""
    found = [_check_declared(records, scale), _check_mixed(records)]
    return [finding for finding in found if finding is not None]


def _check_declared(records: np.ndarray, scale: Scale) -> Finding | None:
    if scale == "unit_sphere":
        is_off = np.abs(records["radius"] - 1) > SPHERE_TOLERANCE
        sizes, expected = records["radius"], "radius 1 about the mean (unit sphere)"
    elif scale == "metres":
        sizes, expected = (
            records["extent"],
            f"{SMALLEST_METRES} to {LARGEST_METRES:.0f} m along the longest side",
        )
        is_off = (sizes < SMALLEST_METRES) | (sizes > LARGEST_METRES)
    else:
        return None
    is_off &= records["extent"] > 0  # a constant cloud is a finding of its own
    if not is_off.any():
        return None
    return _finding(
        records, is_off, f"have sizes of median {np.median(sizes[is_off]):.3g}; expected {expected}"
    )


def _check_mixed(records: np.ndarray) -> Finding | None:
    median = np.median(records["extent"])
    has_extent = records["extent"] > 0
    ratios = np.where(has_extent, records["extent"], median) / max(median, np.finfo(np.float32).tiny)
    is_off = has_extent & ((ratios > MIXED) | (ratios < 1 / MIXED))
    if not is_off.any():
        return None
    return _finding(
        records, is_off, f"are over {MIXED:.0f} times larger or smaller than the median ({median:.3g} long)"
    )


def _finding(records: np.ndarray, is_off: np.ndarray, what: str) -> Finding:
    ids = records["id"][is_off].tolist()
    return Finding(
        check=CHECK,
        severity="warning",
        count=len(ids),
        of=len(records),
        sample_ids=first_ids(ids),
        message=f"{len(ids)} of {len(records)} clouds {what}; bring all files to one unit",
    )
