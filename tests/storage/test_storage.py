"""An artifact exists exactly when its manifest does, and holds exactly what was written."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pointlab.errors import DamagedError, StorageError
from pointlab.storage import (
    AbsentError,
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
from pointlab.storage.artifact import MANIFEST, put, read_verified, remove, seal
from pointlab.storage.local import HOST


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty store of each kind."""
    if request.param == "folder":
        return open_storage(str(tmp_path / "root"))
    found: Storage = request.getfixturevalue("s3_storage")
    return found


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
def test_a_store_that_dies_at_any_object_leaves_no_artifact(storage: Storage, writes: int) -> None:
    dying = Dying(storage.address)
    dying.writes_left = writes
    with pytest.raises(StorageError):
        publish(dying, "x", "thing", {"a": b"1", "b": b"2"}, {})
    assert read_manifest(storage, "x") is None
    dying.writes_left = 3
    publish(dying, "x", "thing", {"c": b"3"}, {})
    assert storage.files("x") == ["c", MANIFEST]


def test_a_write_that_was_not_kept_is_noticed(storage: Storage) -> None:
    with pytest.raises(StorageError, match="does not hold what was just written"):
        put(Forgetful(storage.address), "a", b"content")


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
    with pytest.raises(DamagedError, match=r"x/a is damaged"):
        read_verified(storage, "x", "a", manifest)


def test_a_file_that_its_manifest_lists_and_is_gone_is_damage(storage: Storage) -> None:
    manifest = publish(storage, "x", "thing", {"a": b"1"}, {})
    storage.delete_file("x/a")
    with pytest.raises(DamagedError, match=r"x/a is missing"):
        read_verified(storage, "x", "a", manifest)


def test_a_manifest_that_cannot_be_read_is_damage(storage: Storage) -> None:
    publish(storage, "x", "thing", {"a": b"1"}, {})
    storage.write(f"x/{MANIFEST}", b"{")
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged.*delete .*x and run again"):
        read_manifest(storage, "x")


def test_an_artifact_is_removed_whole_and_may_be_removed_again(storage: Storage) -> None:
    publish(storage, "all/x", "thing", {"a": b"1", "deep/b": b"2"}, {})
    for _ in range(2):
        remove(storage, "all/x")
        assert not storage.exists("all/x")
    assert storage.folders("all") == []


def test_folders_and_files_are_told_apart(storage: Storage) -> None:
    for path in ("b", "a", "deep/c", "deep/deeper/d"):
        storage.write(path, b"1")
    assert (storage.files(""), storage.folders("")) == (["a", "b"], ["deep"])
    assert (storage.files("deep"), storage.folders("deep")) == (["c"], ["deeper"])
    assert (storage.files("nothing"), storage.folders("nothing")) == ([], [])
    assert storage.sizes("deep") == {"c": 1}
    assert storage.exists("deep")
    assert storage.exists("deep/c")
    assert not storage.exists("dee")


def test_what_is_not_there_can_be_deleted(storage: Storage) -> None:
    storage.delete_file("nothing")
    storage.delete_folder("nothing")
    with pytest.raises(AbsentError, match=r"There is no .*nothing"):
        storage.read("nothing")


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("deep/a", b"first")
    assert not storage.create("deep/a", b"second")
    assert storage.read("deep/a") == b"first"
    assert storage.files("deep") == ["a"]


def test_only_what_a_dead_process_began_is_swept(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    for path in ("run/deep/a", "run/.hidden", "run-2/b"):
        storage.write(path, b"whole")
    finished = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    for folder, process in (
        ("run/deep", int(finished.stdout)),
        ("run-2", int(finished.stdout)),
        ("run", os.getpid()),
    ):
        (tmp_path / folder / f".weights.bin.{HOST}.{process}.1").write_bytes(b"ha")
    (tmp_path / "run" / ".weights.bin.another-machine.1.1").write_bytes(b"ha")
    assert storage.sweep("run") == 1
    assert storage.sweep("run") == 0
    assert storage.sweep("nothing") == 0
    assert len(list((tmp_path / "run").glob(".weights.bin.*"))) == 2
    assert storage.sweep("") == 1


def test_a_write_that_is_killed_leaves_what_sweeping_removes(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pointlab.storage import open_storage
storage = open_storage(sys.argv[1])
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
storage.write("run/a", b"new")
"""
    storage = open_storage(str(tmp_path))
    storage.write("run/a", b"old")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert storage.read("run/a") == b"old"
    assert storage.sweep("run") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a"]


def test_a_half_written_file_is_never_at_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(str(tmp_path))
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


def test_a_folder_needs_no_library_of_object_stores(tmp_path: Path) -> None:
    program = """
import sys
from pointlab.storage import open_storage
open_storage(sys.argv[1]).write("a", b"content")
print(sys.modules.keys() & {"boto3", "botocore", "pyarrow"})
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert finished.stdout.strip() == "set()"


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
