"""What reliability costs: a step on Ray Train, start-up, the wait for a checkpoint, a verified upload.

All figures come from one run, and the ways that are compared take turns, so that the ratios mean something
on a machine that does other work as well. `--root` is where checkpoints go: a folder, or s3://bucket/prefix
with endpoint and keys from the usual AWS variables.
"""

import argparse
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pointlab.experiment import PretrainExperiment, load
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.launch import resolve
from pointlab.storage import Storage, open_storage
from pointlab.storage.artifact import put
from pointlab.training import LocalContext, TrainContext, Trainer, ignore_progress

DEMO = Path(__file__).resolve().parents[1] / "configs/demo/pretrain.yaml"
WARM_UP = 5
"""Steps that do not count: the first ones allocate memory and fill the feed."""


def configured(options: argparse.Namespace, name: str, **training: Any) -> PretrainExperiment:
    """The demo's pretraining for some steps, named so that it is always a new run."""
    settings = {"log_every": 1, "validate_every": 1e6, "batch_size": options.batch_size} | training
    experiment = load(
        DEMO,
        [
            f"name={name}-{secrets.token_hex(3)}",
            f"storage.root={options.root}",
            "launch.num_workers=1",
            f"training.num_threads={options.threads}",
            *(f"training.{key}={value}" for key, value in settings.items()),
        ],
    )
    assert isinstance(experiment, PretrainExperiment), "the demo pretrains first"
    return experiment


def resolved(experiment: PretrainExperiment, storage: Storage, num_steps: int) -> Resolved[Any]:
    """The experiment cut to `num_steps` steps."""
    found = resolve(experiment, storage)
    rows = open_rows(storage, found.datasets["data"])
    epochs = num_steps * experiment.training.batch_size / rows
    training = experiment.training.model_copy(update={"epochs": epochs})
    return Resolved(experiment.model_copy(update={"training": training}), found.run, found.datasets)


def open_rows(storage: Storage, dataset: str) -> int:
    from pointlab.data.manifest import read_dataset

    return read_dataset(storage, dataset).rows["train"]


def timed_pretraining(at: Resolved[Any], context: TrainContext) -> Findings:
    """Pretrain, and find the wall-clock time of the first step's end and the seconds of the median step."""
    ends: list[float] = []
    show = context.watch

    def watch(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        ends.append(time.time())
        show(stage, done, total, figures)

    context.watch = watch  # type: ignore[method-assign]
    pretrain(at, context)
    taken = [after - before for before, after in zip(ends[WARM_UP:-1], ends[WARM_UP + 1 :], strict=True)]
    return Findings({"first": ends[0], "step": statistics.median(taken), "mean": statistics.mean(taken)})


def compare_steps(options: argparse.Namespace, storage: Storage) -> None:
    """One worker on Ray Train against the same loop in this process, in turns."""
    from pointlab.engine.session import connect
    from pointlab.engine.trainer import fit

    started = time.time()
    connect()
    print(f"{'Ray starts in':<34}{time.time() - started:>8.1f} s")
    steps: dict[str, list[float]] = {"here": [], "Ray": []}
    start_ups: list[float] = []
    for turn in range(options.turns):
        here = resolved(configured(options, f"here{turn}"), storage, options.steps)
        steps["here"].append(timed_pretraining(here, LocalContext(storage)).metrics["step"])
        there = resolved(configured(options, f"ray{turn}"), storage, options.steps)
        started = time.time()
        found = fit(timed_pretraining, there, storage, there.experiment.launch, ignore_progress)
        steps["Ray"].append(found.metrics["step"])
        start_ups.append(found.metrics["first"] - started)
    ratios = [on_ray / here for here, on_ray in zip(steps["here"], steps["Ray"], strict=True)]
    for where, medians in steps.items():
        print(f"{'step ' + where:<34}{1e3 * statistics.median(medians):>8.1f} ms")
    print(f"{'step on Ray / step here':<34}{statistics.median(ratios):>8.3f}   {spread(ratios)}")
    print(f"{'from fit() to the first step':<34}{statistics.median(start_ups):>8.1f} s {spread(start_ups)}")


def measure_stall(options: argparse.Namespace, storage: Storage) -> None:
    """The share of training that stands still for checkpoints."""
    at = resolved(
        configured(options, "stall", checkpoint_every=options.checkpoint_every), storage, options.steps
    )
    stalled: list[float] = []
    Trainer.save = clocked(Trainer.save, stalled)  # type: ignore[method-assign]
    started = time.perf_counter()
    pretrain(at, LocalContext(storage))
    total = time.perf_counter() - started
    before_the_end = stalled[:-1]  # the last one is awaited in any case
    print(
        f"{'wait for checkpoints':<34}{sum(before_the_end) / total:>8.2%}   {len(stalled)} checkpoints,"
        f" {1e3 * statistics.median(stalled):.1f} ms each, in {total:.1f} s"
    )


def clocked(task: Callable[..., None], seconds: list[float]) -> Callable[..., None]:
    def run(*arguments: Any) -> None:
        started = time.perf_counter()
        task(*arguments)
        seconds.append(time.perf_counter() - started)

    return run


def compare_uploads(options: argparse.Namespace, storage: Storage) -> None:
    """A verified upload against a plain one of the same bytes, in turns."""
    content = os.urandom(options.megabytes << 20)
    folder = f"overhead-{secrets.token_hex(3)}"
    ratios = []
    for turn in range(options.turns + 1):
        started = time.perf_counter()
        storage.write(f"{folder}/plain-{turn}", content)
        plain = time.perf_counter() - started
        put(storage, f"{folder}/verified-{turn}", content)
        verified = time.perf_counter() - started - plain
        ratios.append(plain / verified)
        print(
            f"{'  plain, verified':<34}{options.megabytes / plain:>8.0f} MB/s,"
            f"{options.megabytes / verified:>5.0f} MB/s" + (" (does not count)" if turn == 0 else "")
        )
    storage.delete_folder(folder)
    print(f"{'verified / plain bandwidth':<34}{statistics.median(ratios[1:]):>8.2f}   {spread(ratios[1:])}")


def spread(values: list[float]) -> str:
    return f"({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/overhead.py --root s3://bench/overhead",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", help="where checkpoints go (default: a folder that is removed)")
    parser.add_argument("--steps", type=int, default=60, help="steps of each run (default: 60)")
    parser.add_argument("--turns", type=int, default=3, help="runs of each kind (default: 3)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples of a step (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--checkpoint-every", type=int, default=10, help="steps (default: 10)")
    parser.add_argument("--megabytes", type=int, default=200, help="size of an upload (default: 200)")
    parser.add_argument("--only", choices=["steps", "stall", "uploads"], help="one part of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.root = options.root or f"{folder}/store"
        os.environ.setdefault("POINTLAB_CACHE", f"{folder}/cache")
        storage = open_storage(options.root)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; checkpoints in {storage.address}")
        parts = {"uploads": compare_uploads, "stall": measure_stall, "steps": compare_steps}
        for name, part in parts.items():
            if options.only in (None, name):
                part(options, storage)


if __name__ == "__main__":
    main()
