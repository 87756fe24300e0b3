"""Rows: a store that goes away, for a while or in the middle of an upload."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.scene import Ending, Scene, assert_as_undisturbed, copied
from pointlab.storage import Storage
from s3_server import S3Server

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """A server of the test's own, as it will be stopped."""
    server = S3Server(tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_scene(server: S3Server, prepared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The experiment on S3."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.make_bucket("faults")
    storage = Storage("s3://faults/store")
    copied(prepared_root, storage)
    return Scene(storage, tmp_path)


@pytest.mark.parametrize("seconds", [5, 30, 120])
def test_a_store_that_is_down(s3_scene: Scene, server: S3Server, undisturbed: Ending, seconds: int) -> None:
    with s3_scene.start() as process:
        s3_scene.interrupted(process, server.stop)
        time.sleep(seconds)
        assert process.poll() is None, s3_scene.said()
        server.start()
        assert process.wait(180) == 0, s3_scene.said()
    assert "Trying again for up to" in s3_scene.said()
    assert "answers again after" in s3_scene.said()
    outcome = "waited, went on by itself"
    assert_as_undisturbed(f"storage down {seconds} s", "in process, S3", outcome, s3_scene, undisturbed)


def test_a_store_that_dies_in_the_middle_of_an_upload(
    s3_scene: Scene, server: S3Server, undisturbed: Ending
) -> None:
    def die_in_an_upload() -> None:
        server.pause()  # the next upload's connection is made, and gets no further
        time.sleep(4)
        server.kill_proxy()
        time.sleep(4)
        server.start_proxy()

    with s3_scene.start() as process:
        s3_scene.interrupted(process, die_in_an_upload)
        assert process.wait(180) == 0, s3_scene.said()
    assert "Trying again for up to" in s3_scene.said()
    outcome = "uploaded again, went on by itself"
    assert_as_undisturbed("storage dies in mid-upload", "in process, S3", outcome, s3_scene, undisturbed)


def test_a_driver_that_is_killed_while_the_store_is_down(
    s3_scene: Scene, server: S3Server, undisturbed: Ending
) -> None:
    with s3_scene.start() as process:
        s3_scene.interrupted(process, server.stop)
        time.sleep(3)
        process.kill()
    assert s3_scene.run() == 2
    assert "cannot be reached" in s3_scene.said()
    server.start()
    assert s3_scene.run() == 0, s3_scene.said()
    outcome = "refused while it is down, then went on"
    assert_as_undisturbed("driver SIGKILL, storage down", "in process, S3", outcome, s3_scene, undisturbed)
