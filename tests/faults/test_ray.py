"""Rows: processes of a run on Ray that are killed, with its store on S3."""

import os
import signal
from pathlib import Path

import pytest

from faults.scene import Ending, Scene, assert_as_undisturbed, copied
from pointlab.storage import Storage
from process_tree import descendants

pytestmark = [pytest.mark.fault, pytest.mark.slow]
TRAIN_WORKER = b"ray::RayTrainWorker"


@pytest.fixture
def on_ray(s3_storage: Storage, prepared_root: Path, tmp_path: Path) -> Scene:
    """The experiment on one Ray worker of a Ray of its own, and on S3."""
    copied(prepared_root, s3_storage)
    return Scene(s3_storage, tmp_path, {"launch": {"kind": "ray"}})


def training_worker(driver: int) -> int:
    """The one Ray Train worker of a driver with a Ray of its own."""
    found = [p for p in descendants(driver) if TRAIN_WORKER in Path(f"/proc/{p}/cmdline").read_bytes()]
    (worker,) = found
    return worker


def test_a_killed_worker(on_ray: Scene, undisturbed: Ending) -> None:
    with on_ray.start() as process:
        on_ray.interrupted(process, lambda: os.kill(training_worker(process.pid), signal.SIGKILL))
        assert process.wait(180) == 0, on_ray.said()
    assert "going on from step" in on_ray.said()
    outcome = "went on by itself from the newest checkpoint"
    assert_as_undisturbed("worker SIGKILL", "Ray, S3", outcome, on_ray, undisturbed)


def test_a_killed_driver(on_ray: Scene, undisturbed: Ending) -> None:
    assert on_ray.killed() == -signal.SIGKILL
    assert on_ray.run() == 0, on_ray.said()
    outcome = "the same command went on"
    assert_as_undisturbed("driver SIGKILL", "Ray, S3", outcome, on_ray, undisturbed)


def test_a_terminated_driver(on_ray: Scene, undisturbed: Ending) -> None:
    assert on_ray.killed(how=signal.SIGTERM) == 128 + signal.SIGTERM
    assert on_ray.run() == 0, on_ray.said()
    outcome = "saved after the present step, exit 143, went on"
    assert_as_undisturbed("SIGTERM", "Ray, S3", outcome, on_ray, undisturbed)
