"""What tests build of namespaces is gone afterwards, whatever goes wrong with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.namespaces import Namespaces, has_namespaces, namespaces
from ray_nodes import wait_until

pytestmark = pytest.mark.cluster
TESTS = Path(__file__).resolve().parents[1]
KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from cluster.namespaces import namespaces
with namespaces(("one", "two"), Path(sys.argv[1])) as made:
    sleeper = subprocess.Popen([*made.inside("one"), "sleep", "600"], start_new_session=True)
    print(sleeper.pid, *made.spaces.values(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _can_be_made() -> None:
    assert has_namespaces(), "these tests need root and network namespaces (iproute2)"


def sleeper_in(made: Namespaces, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*made.inside(name), "sleep", "600"])


def test_namespaces_end_with_what_runs_in_them(tmp_path: Path) -> None:
    with namespaces(("one", "two"), tmp_path) as made:
        sleeper, paths = sleeper_in(made, "one"), [made.path(name) for name in made.spaces]
        assert all(path.exists() for path in paths)
    assert not any(path.exists() for path in paths)
    assert sleeper.wait(10) == -signal.SIGKILL


def lose_one(folder: Path, paths: list[Path]) -> None:
    """Have two namespaces, one of which is not there any more when its turn to be removed comes."""
    with namespaces(("one", "two"), folder) as made:
        paths += [made.path(name) for name in made.spaces]
        made.remove("two")


def test_where_one_cannot_be_removed_the_others_are(tmp_path: Path) -> None:
    paths: list[Path] = []
    with pytest.raises(subprocess.CalledProcessError):
        lose_one(tmp_path, paths)
    assert len(paths) == 2
    assert not any(path.exists() for path in paths)


def test_namespaces_end_when_the_tests_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    sleeper, *spaces = ended.stdout.split()
    left = [Path("/run/netns", space) for space in spaces] + [Path("/proc", sleeper)]
    wait_until(lambda: not any(path.exists() for path in left), 30, lambda: str(left))
