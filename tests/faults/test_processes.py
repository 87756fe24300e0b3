"""Rows: processes that are killed or asked to end."""

import signal

import pytest

from faults.scene import Ending, Scene, assert_as_undisturbed

pytestmark = pytest.mark.fault


def test_a_killed_driver(scene: Scene, undisturbed: Ending) -> None:
    assert scene.killed(how=signal.SIGKILL) == -signal.SIGKILL
    assert scene.run() == 0, scene.said()
    assert_as_undisturbed(
        "driver SIGKILL", "in process, folder", "the same command went on", scene, undisturbed
    )


def test_a_process_that_is_asked_to_end(scene: Scene, undisturbed: Ending) -> None:
    assert scene.killed(how=signal.SIGTERM) == 128 + signal.SIGTERM
    assert "it is saved at step" in scene.said()
    before = scene.books.checkpoints()
    assert scene.run() == 0, scene.said()
    assert_as_undisturbed(
        "SIGTERM", "in process, folder", f"saved at step {before[-1]}, exit 143, went on", scene, undisturbed
    )
