"""What a check says: how bad it is, of how many clouds, which ones, and what to do."""

import logging
from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pointlab.errors import DataError

logger = logging.getLogger(__name__)
Severity = Literal["warning", "note"]
NUM_SAMPLE_IDS = 10
"""Enough to look at by hand; the count says how many there are."""


class Finding(BaseModel):
    """One result of one check: `count` of the `of` things it looked at, with the ids of the first of them.

    A warning is something that makes results wrong or not comparable; a note is worth knowing. Where clouds
    are too like others, all of them are listed, and `twins` are the ids of those others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    check: str
    severity: Severity
    count: int
    of: int
    sample_ids: tuple[int, ...] = ()
    twins: tuple[int, ...] = ()
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.check}: {self.message}"


def first_ids(ids: Sequence[int]) -> tuple[int, ...]:
    """The ids that a finding shows, in the order given."""
    return tuple(int(identity) for identity in ids[:NUM_SAMPLE_IDS])


def require_no_warnings(findings: Sequence[Finding], name: str, accepted: Collection[str] = ()) -> None:
    """Nothing; DataError that lists every warning about the dataset `name`, but of `accepted` checks."""
    warnings = [
        finding for finding in findings if finding.severity == "warning" and finding.check not in accepted
    ]
    if not warnings:
        return
    listed = "\n".join(f"  - {finding.check}: {finding.message}" for finding in warnings)
    raise DataError(
        f"The checks of {name} found {len(warnings)} problem(s):\n{listed}\n",
        expected="no warning, as strict was asked for",
        remedy="repair what is listed, accept a check by name (--set 'launch.accept=[near duplicates]'), or"
        " go on without strict: the set is there, and its findings.csv names the clouds",
    )


def tell_findings(name: str, findings: Sequence[Finding]) -> None:
    """Log every warning, and of the notes of a check the first: `findings.csv` and the manifest have all."""
    notes: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.severity == "warning":
            logger.warning("%s: %s", name, finding)
        else:
            notes.setdefault(finding.check, []).append(finding)
    for first, *others in notes.values():
        more = f" (notes like this: {len(others)} more, in its findings.csv)" if others else ""
        logger.info("%s: %s%s", name, first, more)
