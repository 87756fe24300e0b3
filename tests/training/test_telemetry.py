"""What is told of a training as it goes: speed, loss, waiting for data, how late its checkpoints are."""

import math
import time
from collections.abc import Iterator, Mapping

import pytest

from conftest import tiny_pretrain
from pointlab.experiment.pretraining import pretrain
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from pointlab.training.telemetry import FIGURES, Speed

LAG = 0.2
"""Seconds by which the slow store below delays a checkpoint."""


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Slow(Storage):
    """A store that takes its time for each checkpoint's weights."""

    def write(self, path: str, content: bytes) -> None:
        if path.endswith("weights.safetensors"):
            time.sleep(LAG)
        super().write(path, content)


def told_by(storage: Storage) -> tuple[str, list[dict[str, float]]]:
    """The run, and what a tiny training tells of itself."""
    resolved = resolve(tiny_pretrain(storage, training={"log_every": 2, "checkpoint_every": 2}), storage)
    told: list[tuple[str, dict[str, float]]] = []

    def telemetry(run: str, figures: Mapping[str, float]) -> None:
        told.append((run, dict(figures)))

    pretrain(resolved, LocalContext(storage, telemetry=telemetry))
    assert {run for run, _ in told} == {resolved.run}
    return resolved.run, [figures for _, figures in told]


def test_speed_is_samples_by_time_and_stall_the_share_that_was_waited() -> None:
    clock = Clock()
    speed = Speed(samples=1000, clock=clock)

    def source() -> Iterator[int]:
        for number in range(3):
            clock.now += 3.0
            yield number

    for number in speed.waiting_for(source()):
        clock.now += 1.0
        if number == 1:
            assert speed.take(1064) == {"samples_per_second": 8.0, "stall_share": 0.75}
    clock.now += 4.0
    assert speed.take(1096) == {"samples_per_second": 4.0, "stall_share": 0.375}


def test_an_error_of_the_feed_passes_through() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    batches = Speed(0).waiting_for(source())
    assert next(batches) == 1
    with pytest.raises(OSError, match="gone"):
        next(batches)


def test_a_training_tells_all_its_figures_and_the_losses_of_its_log(storage: Storage) -> None:
    run, told = told_by(storage)
    assert {name for figures in told for name in figures} == set(FIGURES)
    logged = [line["train/loss"] for line in Run(storage, run).read_log() if "train/loss" in line]
    assert [figures["loss"] for figures in told if "loss" in figures] == logged
    for figures in told:
        assert all(math.isfinite(value) and value >= 0 for value in figures.values())
        assert figures.get("stall_share", 0) <= 1


def test_upload_lag_is_how_long_a_checkpoint_was_on_its_way(storage: Storage) -> None:
    run, told = told_by(Slow(storage.address))
    lags = [figures["upload_seconds"] for figures in told if "upload_seconds" in figures]
    assert len(lags) >= len(Run(storage, run).checkpoints()) > 0
    assert min(lags) >= LAG
    assert max(lags) < 50 * LAG
