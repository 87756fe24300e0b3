"""Patience tries again for as long as it was told, ever more slowly, and says so once."""

import pytest

from pointlab.errors import StorageError, UnreachableError
from pointlab.storage.patience import FIRST_PAUSE, LONGEST_PAUSE, Patience, patience_seconds


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def patience(seconds: float, time: Time, luck: float = 1.0) -> Patience:
    return Patience(seconds, "s3://bucket", time.clock, time.sleep, lambda: luck)


def failing_until(time: Time, end: float) -> str:
    if time.now < end:
        raise UnreachableError("s3://bucket cannot be reached.")
    return "done"


def test_what_works_at_last_is_returned() -> None:
    time = Time()
    assert patience(600, time).carry_out(lambda _: failing_until(time, 120)) == "done"
    assert 120 <= time.now <= 120 + LONGEST_PAUSE


@pytest.mark.parametrize("luck", [0.0, 1.0])
def test_pauses_grow_to_a_limit_and_differ(luck: float) -> None:
    time = Time()
    patience(600, time, luck).carry_out(lambda _: failing_until(time, 60))
    share = 0.5 + 0.5 * luck
    assert time.pauses[:3] == pytest.approx([share * FIRST_PAUSE * factor for factor in (1, 2, 4)])
    assert max(time.pauses) == share * LONGEST_PAUSE


@pytest.mark.parametrize("seconds", [0, 1, 600])
def test_patience_ends_with_the_last_reason(seconds: float) -> None:
    time = Time()
    with pytest.raises(UnreachableError, match=rf"cannot be reached.*tried again for {seconds} s"):
        patience(seconds, time).carry_out(lambda _: failing_until(time, 1e9))
    assert time.now == pytest.approx(seconds)


def test_a_refusal_is_raised_at_once() -> None:
    time = Time()

    def refuse(_: int) -> None:
        raise StorageError("No.")

    with pytest.raises(StorageError, match="No"):
        patience(600, time).carry_out(refuse)
    assert time.pauses == []


def test_attempts_know_their_number() -> None:
    time, numbers = Time(), []

    def attempt(number: int) -> None:
        numbers.append(number)
        failing_until(time, FIRST_PAUSE * 2)

    patience(600, time).carry_out(attempt)
    assert numbers == [0, 1, 2]


def test_an_outage_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    patience(600, time).carry_out(lambda _: failing_until(time, 60))
    began, ended = (record.getMessage() for record in caplog.records)
    assert began == "s3://bucket cannot be reached. Trying again for up to 600 s"
    assert ended.startswith("s3://bucket answers again after 6")


def test_an_outage_that_several_operations_meet_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    shared = patience(10, time)
    for _ in range(3):
        with pytest.raises(UnreachableError):
            shared.carry_out(lambda _: failing_until(time, 35))
    shared.carry_out(lambda _: failing_until(time, 35))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("0", 0.0), ("inf", float("inf"))])
def test_the_environment_sets_patience(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv("POINTLAB_STORAGE_PATIENCE", text)
    assert patience_seconds() == seconds


@pytest.mark.parametrize("text", ["long", "-1", "nan", ""])
def test_what_is_no_duration_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("POINTLAB_STORAGE_PATIENCE", text)
    with pytest.raises(StorageError, match="a number of seconds"):
        patience_seconds()
