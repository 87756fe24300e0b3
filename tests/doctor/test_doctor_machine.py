"""This machine: its versions, its disks, its shared memory."""

import shutil
from pathlib import Path

import pytest

from conftest import tiny_pretrain
from pointlab.doctor.disk import LEAST, Disk, DiskFor
from pointlab.doctor.environment import COMPARED, Environment, differences, versions
from pointlab.doctor.shared_memory import SharedMemory
from pointlab.storage import Storage


def test_versions_are_those_at_work() -> None:
    (finding,) = Environment().run()
    assert finding.verdict == "pass"
    for name in COMPARED:
        assert f"{name} {versions()[name]}" in finding.found


def test_versions_differ_by_name() -> None:
    own = {"python": "3.11.2", "ray": "2.60.0", "torch": "2.13.0", "pointlab": "0.1.0+a"}
    assert differences(own, own) == ""
    told = differences(own, own | {"torch": "2.12.0", "ray": "2.59.0"})
    assert told == "ray 2.59.0 instead of 2.60.0, torch 2.12.0 instead of 2.13.0"


def test_a_cache_without_room_for_the_sets_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", str(10 * free))
    cache, store = Disk(str(tmp_path), {"huge-1": 2 * free}).run()
    assert cache.verdict == "failure"
    assert "POINTLAB_CACHE" in cache.remedy
    assert store.verdict == "pass"


def test_sets_that_are_decoded_already_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    (tmp_path / "huge-1").mkdir()
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", str(10 * free))
    assert [each.verdict for each in Disk("s3://bucket", {"huge-1": 2 * free}).run()] == ["pass"]


def test_a_cache_bound_below_the_sets_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", "10")
    room, bound = Disk("s3://bucket", {"small-1": 100}).run()
    assert (room.verdict, bound.verdict) == ("pass", "warning")
    assert "POINTLAB_CACHE_BYTES" in bound.remedy


def test_a_disk_that_would_be_nearly_full_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", str(10 * free))
    (finding,) = Disk("s3://bucket", {"large-1": int((free - LEAST / 2) / 1.5)}).run()
    assert finding.verdict == "warning"


def test_a_cache_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", "/proc/cache")
    cache, _ = Disk(str(tmp_path)).run()
    assert cache.verdict == "failure"
    assert "cannot be written" in cache.found


def test_the_room_that_an_experiment_needs_is_that_of_its_sets(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", "10")
    verdicts = [each.verdict for each in DiskFor(tiny_pretrain(storage), storage.address).run()]
    assert verdicts == ["pass", "warning", "pass"]


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "pass"), (2.0, "warning")])
def test_shared_memory_is_held_against_the_object_store(share: float, verdict: str, tmp_path: Path) -> None:
    wanted = share * shutil.disk_usage(tmp_path).total
    (finding,) = SharedMemory(wanted, tmp_path).run()
    assert finding.verdict == verdict
    assert ("--shm-size" in finding.remedy) == (verdict == "warning")


def test_a_system_without_shared_memory_is_passed_over(tmp_path: Path) -> None:
    (finding,) = SharedMemory(1.0, tmp_path / "none").run()
    assert finding.verdict == "skipped"
