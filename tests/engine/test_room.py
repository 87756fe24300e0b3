"""What cannot start is refused before anything waits; what is there is found, and used."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pointlab.config import dump, read_yaml, validate
from pointlab.engine.environment import of_workers
from pointlab.engine.exchange import interface_with, use_interface_of_node
from pointlab.engine.interruption import Interruption
from pointlab.engine.memory import _counters, count_oom_kills
from pointlab.engine.progress import Member, StopQuestion, relayed
from pointlab.engine.room import workers_that_fit
from pointlab.engine.waiting import find_room
from pointlab.errors import ConfigError, PreemptedError, TrainingError
from pointlab.experiment.placement import LaunchConfig
from pointlab.training import ignore_progress

CPU_AND_GPU = {"CPU": 1.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("nodes", "each", "fitting"),
    [
        ([{"CPU": 2.0}], {"CPU": 0.5}, 2),
        ([{"CPU": 1.0}], {"CPU": 0.5}, 0),
        ([{"CPU": 1.0}, {"CPU": 2.0}], {"CPU": 1.0}, 2),
        ([{"CPU": 0.5}, {"CPU": 0.9}], {"CPU": 0.1}, 0),
        ([{"CPU": 1.5}, {"CPU": 1.5}], {"CPU": 0.75}, 2),
        ([{"CPU": 1.5}, {"CPU": 1.5}], {"CPU": 0.5}, 4),
        ([{"CPU": 2.0, "GPU": 2.0}, {"CPU": 1.0}], CPU_AND_GPU, 2),
        ([{"CPU": 2.0, "GPU": 2.0}, {"memory": 1.0}], CPU_AND_GPU, 1),
        ([{"CPU": 1.0}], {"CPU": 0.1}, 0),
        ([{"CPU": 1.1}], {"CPU": 0.1}, 1),
        ([], {"CPU": 1.0}, 0),
    ],
)
def test_workers_fit_node_by_node_beside_a_whole_cpu_for_data(
    nodes: list[dict[str, float]], each: dict[str, float], fitting: int
) -> None:
    assert workers_that_fit(nodes, each) == fitting


def test_trials_need_no_cpu_for_data() -> None:
    assert workers_that_fit([{"CPU": 1.5}, {"CPU": 1.0}], {"CPU": 1.0}, data_cpus=0) == 2


@pytest.mark.parametrize(("value", "bounds"), [(3, (3, 3)), ([1, 4], (1, 4)), ([2, 2], (2, 2))])
def test_a_number_of_workers_may_be_a_range(value: Any, bounds: tuple[int, int], tmp_path: Path) -> None:
    launch = validate(LaunchConfig, {"num_workers": value}, "test")
    assert (launch.fewest_workers, launch.most_workers) == bounds
    (tmp_path / "launch.yaml").write_text(dump(launch))
    assert validate(LaunchConfig, read_yaml(tmp_path / "launch.yaml"), "test") == launch


@pytest.mark.parametrize("value", [0, [4, 1], [0, 2], [1], [1, 2, 3], True, 1.5, "2", [1, None]])
def test_a_range_of_workers_that_makes_no_sense_is_refused_once(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"1 mistake.*\n.*num_workers: .*a range such as \[1, 4\]"):
        validate(LaunchConfig, {"num_workers": value}, "test")


def test_workers_get_what_they_need_and_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hidden")
    monkeypatch.setenv("POINTLAB_STORAGE_PATIENCE", "77")
    variables = of_workers()
    assert variables["POINTLAB_STORAGE_PATIENCE"] == "77"
    assert "hidden" not in variables.values()


def test_workers_are_not_told_again_what_a_submitted_job_brought_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = {"runtime_env": {"env_vars": {"PYTHONPATH": "platform", "POINTLAB_CACHE": "/scratch"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    monkeypatch.setenv("POINTLAB_CACHE", "/scratch")
    assert not of_workers().keys() & {"PYTHONPATH", "POINTLAB_CACHE"}


def test_an_interface_is_found_by_its_address() -> None:
    loopback = interface_with("127.0.0.1")
    assert loopback is not None
    assert loopback.startswith("lo")
    assert interface_with("203.0.113.9") is None


def test_the_kernels_count_is_sought_in_the_own_group_first(tmp_path: Path) -> None:
    memberships = tmp_path / "cgroup"
    memberships.write_text("4:memory:/jobs/one\n1:cpu:/\n0::/slice\n")
    found = [str(path.relative_to(tmp_path)) for path in _counters(memberships, tmp_path)[:-1]]
    assert found == [
        "memory/jobs/one/memory.oom_control",
        "memory/memory.oom_control",
        "slice/memory.events",
        "memory.events",
    ]
    assert _counters(tmp_path / "none", tmp_path) == [Path("/proc/vmstat")]
    assert count_oom_kills() >= 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
class TestOnACluster:
    def test_who_waits_for_room_can_be_asked_to_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_ADDRESS", "of a cluster that may grow")
        stop = threading.Event()
        stop.set()
        with pytest.raises(PreemptedError, match="waited for room"):
            find_room(LaunchConfig(kind="ray", num_workers=1000), stop)

    def test_an_elastic_run_takes_what_there_is_and_grows_with_it(self) -> None:
        import ray

        cpus = ray.cluster_resources()["CPU"]
        half = LaunchConfig(kind="ray", num_workers=(1, 1000), cpus_per_worker=0.5, grow_after=0)
        most = find_room(half, threading.Event())
        assert most == int(2 * (cpus - 1))
        for size, can_grow in ((1, True), (most, False)):
            asked = Interruption(half, threading.Event())
            asked.begin(size)
            members = {rank: Member(None, "", "a node that is gone", 0) for rank in range(size)}
            assert asked(members) is can_grow

    def test_the_wish_to_end_reaches_who_asks_for_it(self) -> None:
        wishes: list[bool] = []
        with relayed(ignore_progress, lambda members: bool(wishes)) as board:
            question = StopQuestion(board)
            assert not question()
            wishes.append(True)
            stopped = threading.Event()
            assert any(question() or stopped.wait(0.05) for _ in range(200))

    def test_what_a_reporter_raises_is_raised_at_the_end(self) -> None:
        told: list[int] = []

        def report(epoch: int, figures: Mapping[str, float]) -> None:
            told.append(epoch)
            if epoch == 1:
                raise TrainingError("no number")

        def train() -> None:
            with relayed(ignore_progress, lambda members: False, report) as board:
                board.report.remote(1, {})
                waited = threading.Event()
                assert any(told or waited.wait(0.05) for _ in range(200))
                board.report.remote(2, {})

        with pytest.raises(TrainingError, match="no number"):
            train()
        assert told == [1, 2]  # the thread goes on

    def test_a_users_interface_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        import ray

        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            monkeypatch.setenv(name, "mine")
        monkeypatch.delenv("NCCL_SOCKET_IFNAME")
        use_interface_of_node()
        assert os.environ["GLOO_SOCKET_IFNAME"] == "mine"
        assert os.environ["NCCL_SOCKET_IFNAME"] == interface_with(ray.util.get_node_ip_address())
