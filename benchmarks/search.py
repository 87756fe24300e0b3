"""What a search costs beside its fine-tunings: the same trials bare and by Ray Tune, one by one and together.

The trials are fine-tunings of the demo's search, from random weights, under settings that are drawn at
random: the same ones every time. `bare` runs them in this process, or side by side in processes that have
imported everything; `search` is the command, with its ledger, a process for each trial, and the table at its
end. All are timed in one run, and take turns. The start of Ray is timed apart.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pointlab.config import validate
from pointlab.experiment import SearchExperiment, TransferExperiment, load
from pointlab.experiment.search import make_trial
from pointlab.experiment.search.sampling import random_settings
from pointlab.launch import run

DEMO = Path(__file__).resolve().parents[1] / "configs/demo/search.yaml"


def configured(options: argparse.Namespace, name: str, at_a_time: int) -> SearchExperiment:
    """The search, with so many trials at a time, named so that its runs are new."""
    demo = load(DEMO)
    assert isinstance(demo, SearchExperiment), "the demo searches"
    settings = demo.model_dump(mode="json")
    settings |= {"name": name, "num_trials": options.trials, "max_concurrent": at_a_time}
    settings |= {"sampler": {"kind": "random"}, "stopping": {"kind": "none"}}
    settings["storage"]["root"] = options.root
    settings["transfer"] |= {
        "protocol": "full",
        "pretrained": None,
        "backbone": demo.transfer.architecture.model_dump(mode="json"),
        "shifted": None,
        "test": False,
        "launch": {"kind": "local"},
        "storage": {"root": options.root},
    }
    settings["transfer"]["training"] |= {"epochs": options.epochs}
    search: SearchExperiment = validate(SearchExperiment, settings, "the benchmark")
    return search


def trials_of(search: SearchExperiment) -> list[TransferExperiment]:
    """What the search will try."""
    drawn = (random_settings(search.space, search.seed, number) for number in range(search.total))
    return [make_trial(search, settings) for settings in drawn]


def bare_alone(options: argparse.Namespace, name: str) -> float:
    """Seconds of the trials, one after the other in this process."""
    trials = trials_of(configured(options, name, 1))
    started = time.perf_counter()
    for trial in trials:
        run(trial)
    return time.perf_counter() - started


def bare_together(options: argparse.Namespace, name: str) -> float:
    """Seconds of the trials, side by side in processes that wait for them."""
    trials = trials_of(configured(options, name, options.together))
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.together, mp_context=spawning) as pool:
        list(pool.map(ready, range(options.together)))
        started = time.perf_counter()
        list(pool.map(run_quietly, trials))
        return time.perf_counter() - started


def ready(_: int) -> None:
    """Everything is imported in this process; the others have time to take a call each."""
    time.sleep(1)


def run_quietly(trial: TransferExperiment) -> None:
    run(trial)


def searched(options: argparse.Namespace, name: str, at_a_time: int) -> float:
    """Seconds of the whole search."""
    started = time.perf_counter()
    run(configured(options, name, at_a_time))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/search.py --turns 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=6, help="fine-tunings (default: 6)")
    parser.add_argument("--epochs", type=float, default=12, help="of each (default: 12)")
    parser.add_argument("--together", type=int, default=2, help="trials side by side (default: 2)")
    parser.add_argument("--turns", type=int, default=3, help="times that each way is timed (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.root = f"{folder}/store"
        os.environ.setdefault("POINTLAB_CACHE", f"{folder}/cache")
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Time every way in turn, and show medians, and what the search adds to each trial."""
    from pointlab.engine.session import connect

    ways: dict[str, Callable[[str], float]] = {
        "bare, one by one": lambda name: bare_alone(options, name),
        "search, one by one": lambda name: searched(options, name, 1),
        f"bare, {options.together} together": lambda name: bare_together(options, name),
        f"search, {options.together} together": lambda name: searched(options, name, options.together),
    }
    run(trials_of(configured(options, "warm-up", 1))[0])  # which prepares the set and fills the cache
    started = time.perf_counter()
    connect()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {options.trials} trials")
    print(f"{'Ray starts in':<24}{time.perf_counter() - started:>8.1f} s", flush=True)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.turns):
        for number, (way, task) in enumerate(ways.items()):
            seconds[way].append(task(f"way-{number}-{turn}"))
            print(f"{way:<24}{seconds[way][-1]:>8.1f} s", flush=True)
    print("medians:")
    for way, taken in seconds.items():
        print(f"{way:<24}{statistics.median(taken):>8.1f} s ({min(taken):.1f} to {max(taken):.1f})")
    for bare, search in (tuple(ways)[:2], tuple(ways)[2:]):
        added = [s - b for b, s in zip(seconds[bare], seconds[search], strict=True)]
        ratios = [s / b for b, s in zip(seconds[bare], seconds[search], strict=True)]
        each = statistics.median(added) / options.trials
        print(f"{search} adds {each:.1f} s a trial, {statistics.median(ratios):.2f} times the bare time")


if __name__ == "__main__":
    main()
