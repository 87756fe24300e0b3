"""Checks run side by side: what hangs, fails or breaks in one is told, and the others are not touched."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from pointlab.doctor import Finding, diagnosis_of, examine
from pointlab.doctor.finding import failed, passed, skipped, warned
from pointlab.errors import StorageError


@dataclass(frozen=True)
class Told:
    """A check that does what it is given."""

    act: Callable[[], Iterable[Finding]]
    name: str = "told"
    seconds: float = 10.0

    def run(self) -> Iterable[Finding]:
        return self.act()


@dataclass(frozen=True)
class Opening(Told):
    """A check that others follow upon."""

    leads_to: tuple[str, ...] = ("rooms", "cellar")


def refuse() -> Iterator[Finding]:
    yield passed("the door is open")
    raise StorageError("The store is shut.", "an open store", "come back later")


def test_findings_come_in_the_order_of_their_checks_whoever_is_first() -> None:
    second_is_done = threading.Event()

    def slow() -> Iterator[Finding]:
        assert second_is_done.wait(5)
        yield passed("first")

    def quick() -> Iterator[Finding]:
        second_is_done.set()
        yield passed("second")

    assert [each.found for each in examine([Told(slow), Told(quick)])] == ["first", "second"]


def test_a_check_that_hangs_is_left_behind_and_named() -> None:
    never = threading.Event()

    def hang() -> Iterator[Finding]:
        yield passed("began")
        never.wait()

    began = time.monotonic()
    findings = examine([Told(hang, "hanging", seconds=0.2), Told(lambda: [passed("fine")], "other")])
    assert time.monotonic() - began < 5
    assert [(each.check, each.verdict) for each in findings] == [
        ("hanging", "pass"),
        ("hanging", "failure"),
        ("other", "pass"),
    ]
    assert "did not end within 0.2 s" in findings[1].found
    never.set()


def test_an_error_with_a_remedy_is_a_failure_with_that_remedy() -> None:
    first, second = examine([Told(refuse)])
    assert first.verdict == "pass"
    assert second == failed("The store is shut. Expected: an open store.", "come back later", "told")


@pytest.mark.parametrize("defect", [ValueError("odd"), RecursionError("deep")])
def test_a_defect_of_one_check_does_not_stop_the_others(
    defect: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterable[Finding]:
        raise defect

    first, second = examine([Told(broken), Told(lambda: [passed("fine")])])
    assert f"{type(defect).__name__}: {defect}" in first.found
    assert "Traceback" in caplog.text
    assert second.verdict == "pass"


def test_what_a_check_would_have_led_to_is_told_as_not_looked_at_however_it_failed() -> None:
    never = threading.Event()

    def hang() -> Iterator[Finding]:
        yield passed("began")
        never.wait()

    def broken() -> Iterable[Finding]:
        raise ValueError("odd.")

    for act in (refuse, hang, broken):
        findings = examine([Opening(act, "door", seconds=0.5)])
        assert [(each.check, each.verdict) for each in findings[-3:]] == [
            ("door", "failure"),
            ("rooms", "skipped"),
            ("cellar", "skipped"),
        ]
        assert findings[-1].found == "Not looked at: it needs door, which failed."
        assert ".." not in findings[-3].found
    never.set()
    assert examine([Opening(lambda: [passed("open"), passed("dry", "cellar")], "door")]) == [
        passed("open", "door"),
        passed("dry", "cellar"),
    ]


def test_a_finding_may_name_what_it_is_about() -> None:
    (finding,) = examine([Told(lambda: [passed("whole", "dataset shapes")], "datasets")])
    assert finding.check == "dataset shapes"


def test_only_failures_fail() -> None:
    fine = [passed("a"), warned("b", "c"), skipped("d")]
    assert diagnosis_of(fine, {}).passed
    assert not diagnosis_of([*fine, failed("e", "f")], {}).passed
