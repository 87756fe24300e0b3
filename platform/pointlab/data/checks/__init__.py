"""Checks at the door: mistakes in a dataset that would cost its user months, found while it is prepared.

`examine` looks at the clouds of a shard, `conclude` at what was learnt of all of them. From the bottom up:
`contents` (digests, repeated points), `fingerprints` (shape without pose) and `directions` (pose) describe
clouds and `examination` keeps that; `repetition`, `labels`, `scale` and `upright` judge it; `candidates`,
`alignment` and `leakage` find shapes that two splits share.
"""

from pointlab.data.checks.alignment import MAX_POINTS as POINTS_COMPARED
from pointlab.data.checks.conclusion import conclude
from pointlab.data.checks.examination import Examination, examine
from pointlab.data.checks.findings import Finding, Severity, require_no_warnings, tell_findings
from pointlab.data.checks.leakage import ReadPoints
from pointlab.data.checks.release import check_release

__all__ = [
    "POINTS_COMPARED",
    "Examination",
    "Finding",
    "ReadPoints",
    "Severity",
    "check_release",
    "conclude",
    "examine",
    "require_no_warnings",
    "tell_findings",
]
