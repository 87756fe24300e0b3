"""The store is used as an experiment would use it: what is wrong is told by its cause, and nothing stays."""

import time
from pathlib import Path

import pytest

from pointlab.doctor.finding import Finding
from pointlab.doctor.store import RoundTrip, Shared, round_trip
from pointlab.doctor.traces import new_token
from pointlab.errors import StorageError
from pointlab.storage import Storage
from s3_server import free_ports


def only(check: RoundTrip | Shared) -> Finding:
    (finding,) = check.run()
    return finding


def dead_endpoint() -> str:
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"


def test_a_folder_passes_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert only(RoundTrip(str(tmp_path))).verdict == "pass"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert only(RoundTrip(str(tmp_path / "a" / "b"))).verdict == "pass"
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_written_is_told() -> None:
    finding = only(RoundTrip("/proc/results"))
    assert finding.verdict == "failure"
    assert "cannot be written" in finding.found
    assert finding.remedy


def test_a_bucket_passes_and_names_the_endpoint_in_use(s3_storage: Storage) -> None:
    finding = only(RoundTrip(s3_storage.address))
    assert finding.verdict == "pass", finding.found
    assert "endpoint http://127.0.0.1:" in finding.found
    bucket, _, prefix = s3_storage.address.rpartition("/")
    assert prefix not in Storage(bucket).folders("")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "not-the-key", "SignatureDoesNotMatch"),
        ("AWS_ENDPOINT_URL", "nowhere", "not the address of a store"),
        ("AWS_ENDPOINT_URL", "", "127.0.0.1"),
    ],
    ids=["wrong key", "no endpoint", "dead endpoint"],
)
def test_what_is_wrong_with_a_bucket_is_told_within_seconds(
    variable: str, value: str, told: str, s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value or dead_endpoint())
    began = time.monotonic()
    try:
        finding = only(RoundTrip(s3_storage.address))
    finally:
        assert time.monotonic() - began < RoundTrip("").seconds
    assert finding.verdict == "failure"
    assert told in finding.found
    assert "not-the-key" not in finding.model_dump_json()
    assert finding.remedy


def test_a_missing_bucket_is_told(s3_storage: Storage) -> None:
    finding = only(RoundTrip("s3://no-such-bucket/prefix"))
    assert finding.verdict == "failure"
    assert "no-such-bucket" in finding.found
    assert "storage.root" in finding.remedy


class Silent(Storage):
    """A store that does not list its files."""

    def files(self, path: str) -> list[str]:
        return []


def test_a_store_that_does_not_list_what_it_holds_does_not_pass(tmp_path: Path) -> None:
    (finding,) = round_trip(Silent(str(tmp_path)), str(tmp_path))
    assert finding.verdict == "failure"
    assert "s3:ListBucket" in finding.remedy


class Tenacious(Storage):
    """A store that keeps what is deleted."""

    def delete_file(self, path: str) -> None:
        pass


def test_a_store_that_keeps_what_is_deleted_does_not_pass(tmp_path: Path) -> None:
    (finding,) = round_trip(Tenacious(str(tmp_path)), str(tmp_path))
    assert finding.verdict == "failure"
    assert "s3:DeleteObject" in finding.remedy


class Full(Storage):
    """A store that takes nothing more, and lets nothing be deleted either."""

    def write(self, path: str, content: bytes) -> None:
        raise StorageError("The disk is full.")

    def delete_file(self, path: str) -> None:
        raise StorageError("Deleting is not allowed.")


def test_the_first_objection_of_a_store_is_told_and_not_what_follows(tmp_path: Path) -> None:
    (finding,) = round_trip(Full(str(tmp_path)), str(tmp_path))
    assert "The disk is full." in finding.found


def test_what_killed_checks_have_left_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    hours_ago, token = int(time.time()) - 7200, "0123456789abcdef"
    left = [
        f"doctor-{hours_ago}-{token}",
        f"doctor-{hours_ago}-{token}.node",
        f"doctor-{hours_ago}-{token}.lease",
    ]
    kept = [new_token(), "doctor-2024-notes.txt", f"my-doctor-{hours_ago}-{token}", "doctor-"]
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"")
    assert only(RoundTrip(str(tmp_path))).verdict == "pass"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_node_sees_what_the_driver_wrote_and_answers(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("doctor-1", b"written")
    assert only(Shared(str(tmp_path), "doctor-1", "node-1")).verdict == "pass"
    assert storage.files("") == ["doctor-1", "doctor-1.node-1"]


def test_a_node_with_another_folder_of_the_same_name_is_told_and_writes_nothing(tmp_path: Path) -> None:
    finding = only(Shared(str(tmp_path / "results"), "doctor-1", "node-1"))
    assert finding.verdict == "failure"
    assert "is not there" in finding.found
    assert "s3://" in finding.remedy
    assert list(tmp_path.iterdir()) == []
