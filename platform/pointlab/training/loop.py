"""The training loop: fetch, step, log, validate, save. It knows a context, a paradigm and a stream.

Everything random in a step is drawn from a generator keyed by (seed, step, micro-batch): the loop re-keys
torch's own generator, which dropout and drop path use, before each micro-batch. Resuming therefore needs
no generator state, and one worker with k micro-batches draws what k workers draw.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from pointlab import distributed
from pointlab.data.batches import Arrays, Recipe, to_batch
from pointlab.data.order import Share, num_steps
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, TrainingError
from pointlab.paradigms import Paradigm
from pointlab.seeding import stable_integer
from pointlab.training.averages import Averages
from pointlab.training.checkpoint import load_weights, restore, save, weights_of
from pointlab.training.context import FeedPlan, TrainContext
from pointlab.training.optimiser import build_optimiser, learning_rate, set_learning_rate
from pointlab.training.run import Line, Run
from pointlab.training.settings import TrainingConfig

ValidationBatches = Callable[[int, int], Iterable[PointBatch]]
"""The batches of a worker, given its rank and the number of workers, who take them in turn."""


@dataclass(frozen=True)
class TrainingData:
    """The set to train on, the rows of its training split, how they are drawn, and validation batches.

    `validation` is None where the set has no validation split.
    """

    dataset: str
    num_rows: int
    recipe: Recipe
    validation: ValidationBatches | None


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run saw and reached; the paradigm itself holds the selected weights."""

    steps: int
    selected_step: int
    samples_seen: int
    device_seconds: float
    metrics: dict[str, float]


class Trainer:
    """One training run of a paradigm, continued from its newest checkpoint if it has one."""

    def __init__(
        self, paradigm: Paradigm, config: TrainingConfig, context: TrainContext, data: TrainingData, run: Run
    ) -> None:
        """Fix threads and algorithms, put the paradigm on its device and restore what there is."""
        _check(config, data)
        make_deterministic(config.num_threads)
        paradigm.to(context.device)
        paradigm.freeze()
        self.paradigm, self.config, self.context, self.data, self.run = paradigm, config, context, data, run
        self.optimiser = build_optimiser(paradigm, config.optimiser)
        self.progress = restore(run, paradigm, self.optimiser)
        self.model = context.wrap(paradigm)
        self.share = Share(
            config.batch_size, distributed.rank(), distributed.world_size(), config.accumulation
        )
        self.num_steps = num_steps(data.num_rows, config.epochs, config.batch_size)
        self.steps_per_epoch = data.num_rows / config.batch_size
        self.averages = Averages()
        self.lines: list[Line] = []

    def train(self) -> TrainingResult:
        """Run to the end of the schedule and leave the selected weights in the paradigm."""
        self.context.announce(self._description())
        progress, started = self.progress, time.perf_counter() - self.progress.seconds
        for step, arrays in enumerate(self._feed(), start=progress.step):
            self.step(step, arrays)
            progress.step, progress.seconds = step + 1, time.perf_counter() - started
            validates = self._completes(self.config.validate_every * self.steps_per_epoch)
            saves = validates or self._completes(self.config.checkpoint_every or math.inf)
            if saves or self._completes(self.config.log_every):
                self.log()  # also before a save, so that no mean spans a checkpoint
            if validates and self.data.validation is not None:
                self.validate(self.data.validation)
            if saves:
                self.save()
        return self._finish()

    def step(self, step: int, arrays: Arrays) -> None:
        """One optimiser step over this worker's micro-batches; gradients are weighted by sample count."""
        self.paradigm.train()
        set_learning_rate(
            self.optimiser, learning_rate(step, self.num_steps, self.steps_per_epoch, self.config)
        )
        self.paradigm.before_step(step, self.num_steps)
        self.optimiser.zero_grad(set_to_none=True)
        share, offset = self.share, self.share.borders[0][0]
        for number, (first, last) in enumerate(share.borders):
            batch = to_batch({name: a[first - offset : last - offset] for name, a in arrays.items()})
            torch.manual_seed(
                stable_integer(self.data.recipe.seed, "step", step, share.rank * share.accumulation + number)
            )
            self._accumulate(batch, is_last=number == share.accumulation - 1)
        if self.config.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.paradigm.parameters(), self.config.optimiser.clip_norm)
        self.optimiser.step()
        self.paradigm.after_step(step, self.num_steps)

    def _accumulate(self, batch: PointBatch, *, is_last: bool) -> None:
        """Add one micro-batch's gradient; workers exchange gradients with the last one only."""
        with contextlib.nullcontext() if is_last else without_exchange(self.model):
            with autocast(self.context.device, self.config.precision):
                output = self.model(batch.to(self.context.device))
            # the wrapped model averages over the workers, hence the world size
            weight = len(batch) * self.share.world_size / self.share.batch_size
            (output.loss * weight).backward()
        self.averages.add({"loss": output.loss, **output.metrics}, len(batch))

    def log(self) -> None:
        """Add a line of training figures; TrainingError if the loss is no longer finite."""
        line = self._line("train", self.averages.take())
        self.lines.append(line)
        self.context.watch(self.run.name, self.progress.step, self.num_steps, line)
        if not torch.isfinite(torch.tensor(line["train/loss"])):
            raise TrainingError(
                f"The training loss is {line['train/loss']} at step {self.progress.step}.",
                expected="a finite loss",
                remedy="lower training.optimiser.learning_rate, or set training.optimiser.clip_norm",
            )

    def validate(self, batches: ValidationBatches) -> None:
        """Measure the validation split, keep the weights if they are the best, tell the context."""
        distributed.average_statistics(self.paradigm)
        figures = evaluate(self.paradigm, batches, self.context.device, self.config.precision)
        self.lines.append(self._line("validation", figures))
        score, progress = figures.get("accuracy", -figures["loss"]), self.progress
        is_better = progress.best_score is None or score > progress.best_score
        if self.config.selection == "best" and is_better:
            progress.best_score, progress.best_step = score, progress.step
            progress.best_weights = weights_of(self.paradigm)
        self.context.report(round(progress.step / self.steps_per_epoch), self.lines[-1])

    def save(self) -> None:
        """Write the log and a checkpoint, then delete checkpoints beyond the number kept."""
        distributed.average_statistics(self.paradigm)
        if distributed.rank() == 0:
            self.run.write_log(self.progress.step, self.lines)
        save(self.run, self.paradigm, self.optimiser, self.progress)
        self.lines = []
        if distributed.rank() == 0:
            self.run.retain(self.config.keep_checkpoints)

    def _feed(self) -> Iterable[Arrays]:
        data = self.data
        return self.context.feed(
            FeedPlan(
                self.run.storage, data.dataset, data.recipe, self.share, self.progress.step, self.num_steps
            )
        )

    def _completes(self, interval: float) -> bool:
        """Whether the step just done completes another `interval` of steps, or the run."""
        step = self.progress.step
        return int(step / interval) > int((step - 1) / interval) or step == self.num_steps

    def _line(self, split: str, figures: dict[str, float]) -> Line:
        step = self.progress.step
        position = {
            "step": step,
            "epoch": step / self.steps_per_epoch,
            "samples": step * self.config.batch_size,
        }
        return position | {f"{split}/{name}": value for name, value in figures.items()}

    def _finish(self) -> TrainingResult:
        progress = self.progress
        if progress.best_weights is not None:
            load_weights(self.paradigm, progress.best_weights, allow_missing=True)
        selected = progress.best_step if progress.best_weights is not None else progress.step
        lines = [line for line in self.run.read_log() if line["step"] == selected]
        return TrainingResult(
            steps=progress.step,
            selected_step=selected,
            samples_seen=progress.step * self.config.batch_size,
            device_seconds=progress.seconds * distributed.world_size(),
            metrics={name: value for line in lines for name, value in line.items() if "/" in name},
        )

    def _description(self) -> str:
        size = sum(parameter.numel() for parameter in self.paradigm.parameters())
        return (
            f"{self.run.name}: {size:,} parameters, {self.data.num_rows:,} training rows, steps"
            f" {self.progress.step} to {self.num_steps} of {self.config.batch_size} samples"
            f" ({self.share.world_size} workers x {self.config.accumulation} micro-batches)"
            f" on {self.context.device}, kept in {self.run.storage.address}"
        )


def make_deterministic(num_threads: int) -> None:
    """Fix the number of threads and the algorithms, on which the last bits of sums depend."""
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def without_exchange(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """A block in which gradients add up on each worker alone."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """bfloat16 matrix products where `precision` asks for them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _check(config: TrainingConfig, data: TrainingData) -> None:
    parts = distributed.world_size() * config.accumulation
    if config.batch_size < 2 * parts:
        raise ConfigError(
            f"training.batch_size {config.batch_size} leaves a micro-batch with fewer than two samples: there"
            f" are {distributed.world_size()} workers x {config.accumulation} micro-batches.",
            expected=f"at least {2 * parts}, as BatchNorm needs two",
        )
    if config.selection == "best" and data.validation is None:
        raise ConfigError(
            f"training.selection is 'best', but {data.dataset} has no validation split.",
            remedy="set training.selection=last, or data.validation_fraction above 0",
        )


@torch.no_grad()
def evaluate(
    paradigm: Paradigm, batches: ValidationBatches, device: torch.device, precision: str = "fp32"
) -> dict[str, float]:
    """Mean figures of `paradigm` in eval mode; the workers take turns with the batches."""
    paradigm.eval()
    averages, rank, size = Averages(), distributed.rank(), distributed.world_size()
    for number, batch in enumerate(batches(rank, size)):
        torch.manual_seed(stable_integer("validation", rank + number * size))
        with autocast(device, precision):
            output = paradigm(batch.to(device))
        averages.add({"loss": output.loss, **output.metrics}, len(batch))
    return averages.take()
