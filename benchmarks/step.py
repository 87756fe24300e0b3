"""Where the time of a pretraining step goes: data, forward, backward, optimiser; one step against another.

It takes the steps that the training loop takes, with the project's own functions, on a small set of
built-in shapes prepared for the purpose: `demo` is the network of configs/demo, `papers` the network of
Point-MAE and ACT (384 wide, 12 deep, 1,024 points). Every figure is the median over the timed steps.

`--set` changes settings as `pointlab run` does, `--paradigm` and `--backbone` are short for two of them. With
`--against KIND` steps of that paradigm, as it is by default, are taken in turn with them, and the ratio of
the two is printed. ReCon has a backbone of its own, and learns from random features as wide as CLIP's; they
are looked up, as those are that were computed once, so that the step is the student's alone. `masked.py`
splits the step of Point-MAE further, by the parts of its network.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointlab.config import apply_overrides, merge, read_yaml, validate
from pointlab.data.augmentation import OVERSAMPLING
from pointlab.data.batches import Recipe, to_batch, training_arrays
from pointlab.data.builtin.objects import CLASSES
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.dataset import DatasetConfig
from pointlab.data.order import Share
from pointlab.experiment import LaunchConfig, PretrainExperiment
from pointlab.experiment.stored_models import seeded_backbone
from pointlab.launch import prepare
from pointlab.objectives.targets import PictureFeatures, TextFeatures
from pointlab.paradigms import PARADIGMS, Given, Paradigm, ReconParadigmConfig, build_paradigm
from pointlab.storage import open_storage
from pointlab.training import ignore_progress
from pointlab.training.numerics import autocast, prepare_process
from pointlab.training.optimiser import build_optimiser

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BACKBONES = {
    ("demo", "others"): "small.yaml",
    ("demo", "recon"): "recon-small.yaml",
    ("papers", "others"): "paper.yaml",
    ("papers", "recon"): "recon.yaml",
}
PICTURES = {"num_views": 1, "view_size": 16}
"""Of each shape, for ReCon; they are never looked at."""
CLIP_WIDTH = 512
"""Channels of the features of CLIP ViT-B/32, of pictures and of texts."""
PARTS = ("data", "forward", "backward", "optimiser")
WARM_UP = 3
"""Steps that do not count: the first ones allocate memory and choose kernels."""


@dataclass(frozen=True)
class Bench:
    """A training run laid open: what the loop holds, without the loop."""

    experiment: PretrainExperiment
    split: CachedSplit
    paradigm: Paradigm
    optimiser: torch.optim.Optimizer
    device: torch.device

    def step(self, number: int) -> dict[str, float]:
        """One optimiser step, as the training loop takes it; seconds of each part."""
        training = self.experiment.training
        experiment, paradigm = self.experiment, self.paradigm
        recipe = Recipe(
            0, experiment.num_points, experiment.augmentation, paradigm.inputs, paradigm.num_views
        )
        laps = Laps(self.device)
        arrays = training_arrays(self.split, Share(training.batch_size).positions(number), recipe)
        batch = to_batch(arrays).to(self.device)
        laps.end("data")
        with autocast(self.device, training.precision):
            output = self.paradigm(batch)
        laps.end("forward")
        output.loss.backward()
        laps.end("backward")
        if training.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.paradigm.parameters(), training.optimiser.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        laps.end("optimiser")
        return laps.seconds


class Laps:
    """Seconds from one `end` to the next; waits for the device, so that work falls into its own lap."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict[str, float]()
        self.start = self._now()

    def end(self, lap: str) -> None:
        """Note the seconds since the last lap ended under this name."""
        now = self._now()
        self.seconds[lap], self.start = now - self.start, now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def configured(options: argparse.Namespace, kind: str, assignments: Sequence[str]) -> PretrainExperiment:
    """The demo's pretraining by this kind of paradigm, with the network and the settings asked for."""
    training = {name: getattr(options, name) for name in ("batch_size", "precision")}
    settings = {"paradigm": {"kind": kind}, "training": training | {"num_threads": options.threads}}
    content = merge(read_yaml(CONFIGS / "demo/pretrain.yaml"), settings)
    own = BACKBONES[options.size, "recon" if kind == "recon" else "others"]
    content["backbone"] = read_yaml(options.backbone or CONFIGS / "backbones" / own)
    if options.size == "papers":
        content = merge(content, {"num_points": 1024, "data": {"num_points": 1024}})
    content = apply_overrides(content, assignments)
    if kind == "recon":
        content = merge(content, {"data": {"source": PICTURES}} | teachers_of(content["paradigm"]))
    found: PretrainExperiment = validate(PretrainExperiment, content, "the settings")
    return found


def teachers_of(paradigm: dict[str, Any]) -> dict[str, Any]:
    """A teacher, which is nowhere, for each loss that ReCon wants one for; `given` makes up what it says."""
    config: ReconParadigmConfig = validate(ReconParadigmConfig, paradigm, "the paradigm")
    nowhere = {"kind": "folder", "path": "nowhere", "sha256": 64 * "0"}
    weights = {"image_teacher": config.image_weight, "text_teacher": config.text_weight}
    return {role: nowhere for role, weight in weights.items() if weight > 0}


def given(split: CachedSplit) -> Given:
    """The set's classes, and random features of its pictures and captions."""
    texts = sorted(split.caption_texts)
    providers = {
        "image_teacher": PictureFeatures(torch.randn(split.num_pictures, CLIP_WIDTH)),
        "text_teacher": TextFeatures("captions", texts, torch.randn(len(texts), 1, CLIP_WIDTH)),
    }
    return Given(len(CLASSES), providers=providers)


def prepared_split(folder: Path, num_clouds: int, num_points: int, views: dict[str, int]) -> CachedSplit:
    """Shapes enough for a batch or two, with as many points as the augmentation draws from."""
    kept = round(num_points * OVERSAMPLING)
    counts = {"num_train_per_class": math.ceil(num_clouds / len(CLASSES)), "num_test_per_class": 0}
    source = {"kind": "shapes", "num_points": kept} | counts | views
    settings = {"name": "shapes", "source": source, "num_points": kept}
    config = validate(DatasetConfig, settings | {"validation_fraction": 0}, "the benchmark")
    storage = open_storage(str(folder / "store"))
    return open_split(storage, prepare(config, storage, LaunchConfig(kind="local"), ignore_progress), "train")


def set_up(options: argparse.Namespace, folder: Path, kind: str, assignments: Sequence[str]) -> Bench:
    experiment = configured(options, kind, assignments)
    prepare_process(options.threads)
    views = PICTURES if kind == "recon" else {}
    split = prepared_split(folder, 2 * options.batch_size, experiment.num_points, views)
    backbone = seeded_backbone(experiment.backbone, seed=0)
    paradigm = build_paradigm(experiment.paradigm, backbone, given(split)).to(options.device)
    optimiser = build_optimiser(paradigm, experiment.training.optimiser)
    paradigm.train()
    return Bench(experiment, split, paradigm, optimiser, options.device)


def show_step(bench: Bench, num_steps: int) -> None:
    laps = [bench.step(number) for number in range(WARM_UP + num_steps)][WARM_UP:]
    medians = {part: statistics.median(lap[part] for lap in laps) for part in PARTS}
    step = statistics.median(sum(lap.values()) for lap in laps)
    for part, seconds in medians.items():
        print(f"{part:<16}{1e3 * seconds:>10.1f} ms{seconds / sum(medians.values()):>9.1%}")
    samples = bench.experiment.training.batch_size / step
    print(f"{'step':<16}{1e3 * step:>10.1f} ms{samples:>9.1f} samples/s")


def show_ratio(bench: Bench, other: Bench, num_steps: int) -> None:
    """Steps of both in turn, for a machine's speed changes with what else it does."""
    turns = [
        [sum(one.step(number).values()) for one in (bench, other)] for number in range(WARM_UP + num_steps)
    ]
    ratios = sorted(first / second for first, second in turns[WARM_UP:])
    low, middle, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.1, 0.5, 0.9))
    kinds = (one.experiment.paradigm.kind for one in (bench, other))
    print(f"a step, {' / '.join(kinds)}: {middle:.2f} ({low:.2f} to {high:.2f})")


def show_optimisers(bench: Bench, turns: int) -> None:
    """AdamW alone, one parameter after the other against fused, on the gradients of one more step."""
    for parameter in bench.paradigm.parameters():
        parameter.grad = torch.randn_like(parameter)
    steps = [update(bench, is_fused=is_fused) for is_fused in (False, True)]
    timed = [[seconds(step, bench.device) for step in steps] for _ in range(WARM_UP + turns)][WARM_UP:]
    plain, fused = (statistics.median(turn) for turn in zip(*timed, strict=True))
    for name, taken in [("plain AdamW", plain), ("fused AdamW", fused)]:
        print(f"{name:<16}{1e3 * taken:>10.1f} ms")
    print(f"{'ratio':<16}{plain / fused:>10.1f} x")


def update(bench: Bench, *, is_fused: bool) -> Callable[[], object]:
    """The update of an AdamW with the groups of the run's own."""
    groups = [
        {"params": group["params"], "weight_decay": group["weight_decay"]}
        for group in bench.optimiser.param_groups
    ]
    settings = bench.experiment.training.optimiser
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, fused=is_fused, foreach=False
    ).step


def seconds(task: Callable[[], object], device: torch.device) -> float:
    laps = Laps(device)
    task()
    laps.end("task")
    return laps.seconds["task"]


def header(bench: Bench, options: argparse.Namespace) -> Iterator[str]:
    """What the figures depend on."""
    parameters = sum(parameter.numel() for parameter in bench.paradigm.parameters())
    yield f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), {options.precision}"
    yield f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    yield f"{options.size}: {parameters:,} parameters, {bench.experiment.num_points} points"
    yield f"batches of {options.batch_size}, median of {options.steps} steps"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/step.py --size papers --steps 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=["demo", "papers"], default="demo", help="network (default: demo)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples of a step (default: 32)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps (default: 20)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="default: fp32")
    parser.add_argument("--paradigm", choices=PARADIGMS, default="supervised", help="default: supervised")
    parser.add_argument("--against", choices=PARADIGMS, help="a paradigm whose steps are taken in turn")
    parser.add_argument("--backbone", type=Path, help="YAML file of a backbone, such as those in configs")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        help="a setting, as in pointlab run; those of the paradigm are not for --against",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POINTLAB_CACHE"] = str(Path(folder) / "cache")
        bench = set_up(options, Path(folder), options.paradigm, options.set)
        print(*header(bench, options), sep="; ")
        show_step(bench, options.steps)
        if options.against is None:
            show_optimisers(bench, options.steps)
        else:
            shared = [one for one in options.set if not one.startswith("paradigm.")]
            show_ratio(bench, set_up(options, Path(folder), options.against, shared), options.steps)


if __name__ == "__main__":
    main()
