"""An artifact exists exactly when its manifest does, and holds exactly what was written."""

import os
import pickle
from pathlib import Path

import pytest

from pointlab.errors import StorageError
from pointlab.storage import (
    Record,
    Storage,
    fetch,
    open_storage,
    publish,
    read_manifest,
    read_record,
    whole_artifacts,
    write_record,
)
from pointlab.storage.artifact import MANIFEST, put, read_verified, seal


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "root"))


class Forgetful(Storage):
    """A store that acknowledges a write and loses its end."""

    def write(self, path: str, content: bytes) -> None:
        super().write(path, content[:-1])


class Dying(Storage):
    """A store that goes away after some writes."""

    writes_left = 0

    def write(self, path: str, content: bytes) -> None:
        if self.writes_left == 0:
            raise StorageError("The store is gone.")
        self.writes_left -= 1
        super().write(path, content)


def test_an_artifact_comes_back_whole(storage: Storage, tmp_path: Path) -> None:
    contents = {"a.bin": b"one", "deep/b.bin": b"two"}
    publish(storage, "things/x", "thing", contents, {"note": 1})
    manifest = fetch(storage, "things/x", tmp_path / "copy")
    assert {name: (tmp_path / "copy" / name).read_bytes() for name in manifest.files} == contents
    assert manifest.details == {"note": 1}


@pytest.mark.parametrize("writes", range(3))
def test_a_store_that_dies_at_any_object_leaves_no_artifact(tmp_path: Path, writes: int) -> None:
    storage = Dying(str(tmp_path))
    storage.writes_left = writes
    with pytest.raises(StorageError):
        publish(storage, "x", "thing", {"a": b"1", "b": b"2"}, {})
    assert read_manifest(storage, "x") is None
    storage.writes_left = 3
    publish(storage, "x", "thing", {"c": b"3"}, {})
    assert storage.files("x") == ["c", MANIFEST]


def test_a_write_that_was_not_kept_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not hold what was just written"):
        put(Forgetful(str(tmp_path)), "a", b"content")


def test_an_artifact_is_immutable(storage: Storage) -> None:
    publish(storage, "x", "thing", {"a": b"1"}, {})
    with pytest.raises(StorageError, match="immutable"):
        publish(storage, "x", "thing", {"a": b"2"}, {})
    assert storage.read("x/a") == b"1"


def test_incomplete_artifacts_are_ignored_and_named(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    publish(storage, "all/whole", "thing", {"a": b"1"}, {})
    storage.write("all/torn/a", b"1")
    assert whole_artifacts(storage, "all") == ["whole"]
    assert "all/torn is incomplete" in caplog.text


def test_a_flipped_byte_is_named(storage: Storage) -> None:
    manifest = publish(storage, "x", "thing", {"a": b"1"}, {})
    storage.write("x/a", b"2")
    with pytest.raises(StorageError, match=r"x/a is damaged"):
        read_verified(storage, "x", "a", manifest)


def test_a_half_written_file_is_never_at_its_name(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write("a", b"old")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageError, match="No space left"):
        storage.write("a", b"new")
    assert storage.read("a") == b"old"
    assert storage.files("") == ["a"]


def test_a_root_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written.*--root"):
        open_storage(str(tmp_path / "file" / "root"))


@pytest.mark.parametrize("address", ["ftp://host/x", "s3://", "gs://bucket"])
def test_an_unknown_address_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match=r"s3://bucket/prefix"):
        Storage(address)


@pytest.mark.parametrize("path", ["../outside", "a/../../b", "/absolute"])
def test_no_path_leads_out_of_the_root(storage: Storage, path: str) -> None:
    with pytest.raises(StorageError, match="leads out"):
        storage.write(path, b"")


def test_a_storage_travels_by_address_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-id")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    pickled = pickle.dumps(Storage("s3://bucket/prefix"))
    assert b"very-secret" not in pickled
    assert b"key-id" not in pickled
    assert pickle.loads(pickled).root == "bucket/prefix"


def test_a_relative_folder_means_the_same_in_every_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(open_storage("results"))
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).root == str(tmp_path / "results")


def test_a_record_is_written_once(storage: Storage) -> None:
    record = Record(
        run="r", kind="pretrain", name="r", seed=0, protocol="p", config={"a": 1}, code_version="1"
    )
    assert read_record(storage, "r") is None
    write_record(storage, record)
    assert read_record(storage, "r") == record
    with pytest.raises(StorageError, match="immutable"):
        write_record(storage, record)


def test_files_put_apart_become_an_artifact_by_its_manifest(storage: Storage) -> None:
    entries = {name: put(storage, f"x/{name}", name.encode()) for name in ("a", "b")}
    assert read_manifest(storage, "x") is None
    seal(storage, "x", "thing", entries, {})
    manifest = read_manifest(storage, "x")
    assert manifest is not None
    assert sorted(manifest.files) == ["a", "b"]
