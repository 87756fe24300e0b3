"""A cluster has room for what it is made for, by the rules that the engine itself places by, and no more."""

from pathlib import Path
from typing import Any

import pytest

from pointlab.engine.room import resources_of_a_worker, workers_that_fit
from pointlab.engine.search.room import groups_that_fit
from pointlab.errors import ResourceError
from pointlab.experiment import Experiment, load
from pointlab.kuberay import ManifestSettings, NodeShape
from pointlab.kuberay.cluster import ray_cluster
from pointlab.kuberay.sizing import AT_A_TIME, Size, size_of

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PRETRAIN, SEARCH, STUDY = "demo/pretrain.yaml", "demo/search.yaml", "study/tiny.yaml"


def config(path: str, *overrides: str) -> Experiment:
    return load(CONFIGS / path, overrides)


def nodes(size: Size, count: int) -> list[dict[str, float]]:
    return [{"CPU": size.node.cpus, "GPU": size.node.gpus or 0}] * count


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 15])
@pytest.mark.parametrize(("cpus", "gpus"), [(0.5, 0), (1, 0), (4, 1), (8, 1), (3, 0.5), (8, 0)])
@pytest.mark.parametrize("node", [NodeShape(cpus=8), NodeShape(cpus=16, gpus=2), NodeShape(cpus=8, gpus=1)])
def test_training_has_room_by_the_engines_own_rule(
    workers: int, cpus: float, gpus: float, node: NodeShape
) -> None:
    settings = [f"launch.num_workers={workers}", f"launch.cpus_per_worker={cpus}"]
    experiment = config(PRETRAIN, *settings, f"launch.gpus_per_worker={gpus}")
    size, each = size_of(experiment, node), resources_of_a_worker(experiment.launch)
    assert size.fewest == size.most
    assert workers_that_fit(nodes(size, size.fewest), each) >= workers
    assert workers_that_fit(nodes(size, size.fewest - 1), each) < workers


@pytest.mark.parametrize(
    ("workers", "cpus", "at_a_time"), [(2, 1, 3), (2, 4, 2), (3, 3, 2), (4, 8, 2), (2, 0.5, 6)]
)
def test_trials_on_several_workers_have_room_by_the_engines_own_rule(
    workers: int, cpus: float, at_a_time: int
) -> None:
    settings = [f"launch.num_workers={workers}", f"launch.cpus_per_worker={cpus}"]
    experiment = config(SEARCH, *settings, f"max_concurrent={at_a_time}")
    size, each = size_of(experiment, NodeShape(cpus=8)), resources_of_a_worker(experiment.launch)
    held = groups_that_fit(nodes(size, size.fewest), each, experiment.launch, at_a_time)
    assert held == at_a_time


@pytest.mark.parametrize("path", [SEARCH, STUDY])
def test_trials_and_experiments_side_by_side_have_a_gpu_each(path: str) -> None:
    settings = ["launch.kind=ray", "launch.gpus_per_worker=1", "launch.cpus_per_worker=4"]
    assert size_of(config(path, *settings), NodeShape()).fewest == AT_A_TIME
    assert size_of(config(path, *settings, "max_concurrent=2"), NodeShape()).fewest == 2
    assert size_of(config(path, *settings), NodeShape(cpus=16, gpus=4)).fewest == 1
    whole = [*settings, "launch.cpus_per_worker=8"]
    assert size_of(config(path, *whole), NodeShape(cpus=8, gpus=1)).fewest == AT_A_TIME


def test_a_run_of_changing_size_has_a_cluster_of_changing_size() -> None:
    experiment = config(PRETRAIN, "launch.num_workers=[1, 6]", "launch.gpus_per_worker=1")
    size = size_of(experiment, NodeShape())
    assert (size.fewest, size.most, size.node.gpus) == (1, 6, 1)


def allocatable(cpus: int, gibibytes: int) -> tuple[float, float]:
    """What a machine leaves to pods, by the reservation of GKE, the largest of the large providers.

    "Plan GKE Standard node sizes": of CPUs 6 % of the first, 1 % of the second, 0.5 % of the next two,
    0.25 % of the rest; of memory 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % of
    the rest, and 100 MiB for eviction.
    """
    of_cpus = [0.06, 0.01, 0.005, 0.005] + [0.0025] * cpus
    of_memory = [0.25] * 4 + [0.2] * 4 + [0.1] * 8 + [0.06] * gibibytes
    return cpus - sum(of_cpus[:cpus]), gibibytes - sum(of_memory[:gibibytes]) - 100 / 1024


OF_EVERY_NODE = (0.35, 1.0)
"""CPUs and GiB for the pods that run on each node, such as of the network, the disks and the logs."""


def test_a_pod_fits_on_a_machine_of_the_common_size() -> None:
    [cluster] = [ray_cluster("pointlab", ManifestSettings())]
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    [group] = cluster["spec"]["workerGroupSpecs"]
    beside = [{"resources": cluster["spec"]["autoscalerOptions"]["resources"]}]
    for machine, containers in (
        ((4, 16), head + beside),
        ((8, 32), group["template"]["spec"]["containers"]),
    ):
        cpus, memory = allocatable(*machine)
        asked = [container["resources"]["requests"] for container in containers]
        assert sum(_cpus(each["cpu"]) for each in asked) <= cpus - OF_EVERY_NODE[0]
        assert sum(int(each["memory"].removesuffix("Gi")) for each in asked) <= memory - OF_EVERY_NODE[1]


def _cpus(amount: str) -> float:
    return int(amount[:-1]) / 1000 if amount.endswith("m") else float(amount)


def test_what_is_made_first_has_room_too() -> None:
    wide = config(
        SEARCH, "transfer.pretrained.launch.num_workers=7", "transfer.pretrained.launch.gpus_per_worker=1"
    )
    assert size_of(wide, NodeShape()).fewest == 7
    assert size_of(wide, NodeShape()).node.gpus == 1


def test_one_process_has_a_node_beside_what_it_makes_on_ray_first() -> None:
    evaluation = config(
        "evaluate/demo.yaml", "classifier.launch.kind=local", "classifier.pretrained.launch.kind=local"
    )
    assert size_of(evaluation, NodeShape()).fewest == 1
    beside = config("evaluate/demo.yaml", "classifier.launch={kind: ray, num_workers: 3, gpus_per_worker: 1}")
    assert size_of(beside, NodeShape()).fewest == 4


def test_one_process_has_one_node_and_a_preparation_may_grow() -> None:
    assert size_of(config(PRETRAIN, "launch.kind=local"), NodeShape()).most == 1
    assert size_of(config("data/shapes.yaml"), NodeShape()).fewest == 1
    assert size_of(config("data/shapes.yaml"), NodeShape()).most > 1


@pytest.mark.parametrize("settings", [{"cpus": 2}, {"cpus": 8, "gpus": 0}])
def test_a_worker_that_fits_on_no_node_is_refused_with_what_would_do(settings: dict[str, Any]) -> None:
    experiment = config(PRETRAIN, "launch.cpus_per_worker=4", "launch.gpus_per_worker=1")
    with pytest.raises(ResourceError, match=r"needs 4 CPUs and 1 GPUs.*--node-cpus 5 and --node-gpus 1"):
        size_of(experiment, NodeShape(**settings))
