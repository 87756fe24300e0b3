"""A node of Ray shows how its workers train, as Prometheus reads it."""

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from conftest import tiny_pretrain
from pointlab.engine.gauges import LABELS, PREFIX, end, publish
from pointlab.launch import run
from pointlab.storage import Storage
from pointlab.training import Run
from pointlab.training.telemetry import FIGURES

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
PATIENCE = 90.0
"""Seconds: a process hands its figures over every ten."""
Key = tuple[str, str, str]
"""Run, rank, and name of the metric."""


def scraped() -> dict[Key, float]:
    """What the nodes of this machine show of our runs."""
    found = {}
    for node in ray.nodes():
        address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    if sample.name.startswith(f"ray_{PREFIX}"):
                        run_name, rank = (sample.labels[label] for label in LABELS)
                        found[run_name, rank, sample.name] = sample.value
    return found


@contextmanager
def watching() -> Iterator[dict[Key, list[float]]]:
    """Every value that is shown while the block runs."""
    seen: dict[Key, list[float]] = {}
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.5):
            for key, value in scraped().items():
                seen.setdefault(key, []).append(value)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def test_a_nodes_metrics_show_how_two_workers_train(storage: Storage) -> None:
    experiment = tiny_pretrain(
        storage,
        name="watched",
        launch={"kind": "ray", "num_workers": 2, "cpus_per_worker": 0.5},
        training={"log_every": 1, "checkpoint_every": 1, "epochs": 4},
    )
    with watching() as seen:
        record = run(experiment).record
        assert record is not None
        told_by_both = [(rank, name) for rank in "01" for name in set(FIGURES) - {"upload_seconds"}]
        expected = {
            (record.run, rank, f"ray_{PREFIX}{name}")
            for rank, name in [*told_by_both, ("0", "upload_seconds")]
        }
        deadline = time.monotonic() + PATIENCE
        while not expected <= seen.keys() and time.monotonic() < deadline:
            time.sleep(0.5)
    shown = {key: values for key, values in seen.items() if key[0] == record.run}
    assert shown.keys() == expected
    losses = [line["train/loss"] for line in Run(storage, record.run).read_log() if "train/loss" in line]
    for (_, _, name), values in shown.items():
        assert all(value >= 0 for value in values)
        if name.endswith("_loss"):
            assert all(min(abs(value - loss) for loss in losses) < 1e-6 for value in values)
        if name.endswith("_share"):
            assert max(values) <= 1


@ray.remote(num_cpus=0)
class Teller:
    """A process that trains one run after the other."""

    def tell(self, run_name: str) -> None:
        publish(run_name, {"loss": 0.5})

    def end(self, run_name: str) -> None:
        end(run_name)


def test_a_run_that_is_over_is_shown_no_more_while_its_process_lives() -> None:
    former, present = (("former", "0", f"ray_{PREFIX}loss"), ("present", "0", f"ray_{PREFIX}loss"))
    teller = Teller.remote()
    ray.get([teller.tell.remote("former"), teller.tell.remote("present")])
    assert _shown_within(PATIENCE, lambda shown: {former, present} <= shown.keys())
    ray.get(teller.end.remote("former"))
    assert _shown_within(PATIENCE, lambda shown: former not in shown)
    assert scraped()[present] == 0.5


def _shown_within(seconds: float, is_so: Callable[[dict[Key, float]], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (found := is_so(scraped())) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found
