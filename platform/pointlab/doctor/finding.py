"""What a check finds: that all is well, or a cause and its remedy in a sentence or two."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pointlab.errors import PointlabError

Verdict = Literal["pass", "warning", "failure", "skipped"]


class Finding(BaseModel):
    """One line of a diagnosis.

    `warning` is what need not stop an experiment; `skipped` what could not be looked at, for a cause that
    another finding names.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    check: str = ""
    """What was looked at; where a check leaves it empty, it is the check's own name."""
    verdict: Verdict
    found: str
    remedy: str = ""


class Diagnosis(BaseModel):
    """All findings as `pointlab doctor --json` prints them, and the versions of their process.

    One of another version may have more fields, here and in a finding: these are passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    passed: bool
    """Whether nothing failed; warnings pass."""
    versions: Mapping[str, str]
    findings: tuple[Finding, ...]


def diagnosis_of(findings: list[Finding], versions: Mapping[str, str]) -> Diagnosis:
    """These findings and what they come to."""
    passed = all(finding.verdict != "failure" for finding in findings)
    return Diagnosis(passed=passed, versions=versions, findings=tuple(findings))


def passed(found: str, check: str = "") -> Finding:
    """All is well."""
    return Finding(check=check, verdict="pass", found=found)


def warned(found: str, remedy: str, check: str = "") -> Finding:
    """What need not stop an experiment, and what to do about it."""
    return Finding(check=check, verdict="warning", found=found, remedy=remedy)


def failed(found: str, remedy: str, check: str = "") -> Finding:
    """What would stop an experiment, and what to do about it."""
    return Finding(check=check, verdict="failure", found=found, remedy=remedy)


def skipped(why: str, check: str = "") -> Finding:
    """What could not be looked at."""
    return Finding(check=check, verdict="skipped", found=why)


def unseen(checks: Iterable[str], cause: str) -> list[Finding]:
    """What was not looked at, as the check `cause` failed before it."""
    return [skipped(f"Not looked at: it needs {cause}, which failed.", check) for check in checks]


def of_error(error: PointlabError, check: str = "") -> Finding:
    """A failure in the words of the error that an experiment would have ended with."""
    expected = f" Expected: {error.expected}." if error.expected else ""
    return failed(error.found + expected, error.remedy, check)
