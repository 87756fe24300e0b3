"""The training loop: fetch, step, log, validate, save. It knows a context, a paradigm and a stream.

Everything random in a step is drawn from a generator keyed by (seed, step, micro-batch): the loop re-keys
torch's own generator, which dropout and drop path use, before each micro-batch. Resuming therefore needs
no generator state, and one worker with k micro-batches draws what k workers draw.
"""

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pointlab import distributed
from pointlab.data.batches import Recipe, to_batch
from pointlab.data.order import Share, num_steps
from pointlab.data.sample import Arrays, PointBatch
from pointlab.errors import ConfigError, PreemptedError
from pointlab.paradigms import Trainable
from pointlab.seeding import stable_integer
from pointlab.training.ahead import read_ahead
from pointlab.training.batch_norm import synchronise_batch_norm
from pointlab.training.checkpoint import (
    TrainingState,
    capture,
    load_weights,
    own_state,
    own_statistics,
    restore,
    weights_of,
)
from pointlab.training.context import FeedPlan, TrainContext
from pointlab.training.even_start import EvenStart
from pointlab.training.faults import FiniteWatch, explained_memory, require_scale
from pointlab.training.flops import flops_of_step
from pointlab.training.moving_average import MovingAverage, averaged
from pointlab.training.numerics import autocast, build_scaler, prepare_process, without_exchange
from pointlab.training.optimiser import build_optimiser, learning_rate, set_learning_rate
from pointlab.training.run import METRICS, SAMPLES, Line, Run
from pointlab.training.saver import Saver
from pointlab.training.settings import TrainingConfig
from pointlab.training.telemetry import Speed
from pointlab.training.validation import ValidationBatches, evaluate


@dataclass(frozen=True)
class TrainingData:
    """The set to train on, the rows of its training split, how they are drawn, and validation batches.

    `validation` is None where the set has no validation split. What it goes through is called
    `validated_split` in the log, so that nobody takes test clouds for others.
    """

    dataset: str
    num_rows: int
    recipe: Recipe
    validation: ValidationBatches | None
    validated_split: str = "validation"


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run saw and reached; the paradigm itself holds the selected weights."""

    steps: int
    selected_step: int
    samples_seen: int
    device_seconds: float
    metrics: dict[str, float]
    flops: float = 0.0
    """Of all steps, by what the first one took; what is counted, `flops.COUNTED` says."""


class Trainer:
    """One training run of a paradigm, continued from its newest checkpoint if it has one."""

    def __init__(
        self, paradigm: Trainable, config: TrainingConfig, context: TrainContext, data: TrainingData, run: Run
    ) -> None:
        """Fix threads and algorithms, put the paradigm on its device and restore what there is."""
        _check(config, data)
        prepare_process(config.num_threads)
        paradigm.to(context.device)
        paradigm.freeze()
        if config.batch_norm == "synchronised":
            synchronise_batch_norm(paradigm, frozen=paradigm.frozen())
        self.paradigm, self.config, self.context, self.data, self.run = paradigm, config, context, data, run
        self.state = TrainingState(
            paradigm,
            build_optimiser(paradigm, config.optimiser),
            build_scaler(context.device, config.precision),
            MovingAverage(own_state(paradigm), config.ema_decay) if config.ema_decay else None,
        )
        restore(run, self.state)
        self.even_start = EvenStart(paradigm, frozen=paradigm.frozen())
        self.model = context.wrap(paradigm)
        self.share = Share(
            config.batch_size, distributed.rank(), distributed.world_size(), config.accumulation
        )
        self.num_steps = num_steps(data.num_rows, config.epochs, config.batch_size)
        self.last_step = num_steps(data.num_rows, config.end, config.batch_size)
        self.steps_per_epoch = data.num_rows / config.batch_size
        self.pace = distributed.Pace(context.device)
        self.saver = Saver(run, config.keep_checkpoints, lambda lag: self._tell({"upload_seconds": lag}))
        self.speed = Speed(self.state.progress.step * config.batch_size)
        self.watch = FiniteWatch()
        self.lines: list[Line] = []
        self.samples: list[list[int]] = []

    def train(self) -> TrainingResult:
        """Run to the end of the schedule and leave the selected weights in the paradigm.

        Raises PreemptedError, with everything saved, where the context says that this process must end.
        """
        self.context.announce(self._description())
        progress, last = self.state.progress, time.perf_counter()
        with self.saver:
            for step, arrays in enumerate(self.speed.waiting_for(self.feed()), start=progress.step):
                self.step(step, arrays)
                progress.step, taken, last = step + 1, time.perf_counter() - last, time.perf_counter()
                progress.device_seconds += taken * self.share.world_size
                validates = self._completes(self.config.validate_every * self.steps_per_epoch)
                if validates or self._completes(self.config.log_every):
                    self.log()
                if validates and self.data.validation is not None:
                    self.validate(self.data.validation)
                stops = distributed.agree_to_stop(progress.step, self.context.should_stop(), self.pace)
                if validates or stops or self._completes(self.config.checkpoint_every or math.inf):
                    self.save()
                self.saver.check()
                if stops and progress.step < self.last_step:
                    self._leave()
        distributed.barrier()  # the others may read the log only when the first worker has stored it
        return self._finish()

    def step(self, step: int, arrays: Arrays) -> None:
        """One optimiser step over this worker's micro-batches; gradients are weighted by sample count."""
        state, optimiser = self.state, self.state.optimiser
        self.paradigm.train()
        set_learning_rate(optimiser, learning_rate(step, self.num_steps, self.steps_per_epoch, self.config))
        self.paradigm.before_step(step, self.num_steps)
        optimiser.zero_grad(set_to_none=True)
        self._note_samples(step, arrays)
        share, offset = self.share, self.share.borders[0][0]
        with explained_memory(share):
            for number, (first, last) in enumerate(share.borders):
                batch = to_batch({name: a[first - offset : last - offset] for name, a in arrays.items()})
                micro_batch = share.rank * share.accumulation + number
                key = stable_integer(self.data.recipe.seed, "step", step, micro_batch)
                if state.progress.flops_per_step is None:
                    self._count(batch, key)
                torch.manual_seed(key)
                self._accumulate(batch, is_last=number == share.accumulation - 1)
            self._clip()
            state.scaler.step(optimiser)
        state.scaler.update()
        if state.average is not None:
            state.average.update()
        self.paradigm.after_step(step, self.num_steps)

    def _count(self, batch: PointBatch, key: int) -> None:
        """Note what a step takes: what this micro-batch does, for as many samples as a step has."""
        progress, started = self.state.progress, time.perf_counter()
        flops = flops_of_step(self.paradigm, batch, self.context.device, self.config.precision, key)
        progress.flops_per_step = flops * self.share.batch_size / len(batch)
        # the step's time, which is added when it is over, would else be longer by the counting
        progress.device_seconds -= (time.perf_counter() - started) * self.share.world_size

    def _accumulate(self, batch: PointBatch, *, is_last: bool) -> None:
        """Add one micro-batch's gradient; workers exchange gradients with the last one only."""
        with contextlib.nullcontext() if is_last else without_exchange(self.model):
            with autocast(self.context.device, self.config.precision):
                output = self.model(batch.to(self.context.device))
            # the wrapped model averages over the workers, hence the world size
            weight = len(batch) * self.share.world_size / self.share.batch_size
            self.state.scaler.scale(output.loss * weight).backward()
        self.watch.add_loss(output.loss)
        self.state.means.add({"loss": output.loss, **output.metrics}, len(batch))

    def _clip(self) -> None:
        limit, parameters = self.config.optimiser.clip_norm, list(self.paradigm.parameters())
        self.state.scaler.unscale_(self.state.optimiser)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        if not self.state.scaler.is_enabled():  # a scaler skips a step that overflowed, and goes on
            self.watch.add_norm(norm)

    def _note_samples(self, step: int, arrays: Arrays) -> None:
        self.watch.begin(step + 1, arrays["ids"])
        if self.config.log_samples:
            self.samples.append(arrays["ids"].tolist())

    def log(self) -> None:
        """Add a line of training figures; TrainingError if a loss or gradient was not finite."""
        self.watch.require_finite(self.run)
        require_scale(self.state.scaler)
        line = self._line("train", self.state.means.take())
        self.lines.append(line)
        self.context.watch(self.run.name, self.state.progress.step, self.last_step, line)
        self._tell({"loss": line["train/loss"], **self.speed.take(round(line["samples"]))})

    def _tell(self, figures: dict[str, float]) -> None:
        self.context.telemetry(self.run.name, figures)

    def validate(self, batches: ValidationBatches) -> None:
        """Measure the validation split, keep the weights if they are the best, tell the context."""
        self._average_statistics()
        progress = self.state.progress
        with averaged(self.state.average):
            figures = evaluate(self.paradigm, batches, self.context.device, self.config.precision)
            score = self.paradigm.score(figures)
            is_better = progress.best_score is None or score > progress.best_score
            if self.config.selection == "best" and is_better and math.isfinite(score):
                progress.best_score, progress.best_step = score, progress.step
                progress.best_weights = weights_of(self.paradigm)
        self.lines.append(self._line(self.data.validated_split, figures))
        self.context.report(round(progress.step / self.steps_per_epoch), self.lines[-1])

    def _average_statistics(self) -> None:
        """Running statistics become the mean over the workers, and those of the moving average as well."""
        own, average = own_statistics(self.paradigm), self.state.average
        distributed.average_tensors(list(own.values()))
        if average is not None:
            distributed.average_tensors([average.average[name] for name in own])

    def save(self) -> None:
        """Hand a copy of the state, with the log since the last one, to the thread that stores it."""
        self.watch.require_finite(self.run)
        self.saver.wait()  # before there is a second copy of the state
        snapshot = capture(self.state)
        logs: dict[str, list[Any]] = {METRICS: self.lines}
        if self.config.log_samples:
            shares = distributed.gather_to_first(self.samples)
            logs[SAMPLES] = _joined(shares, last_step=self.state.progress.step)
        if snapshot is not None:
            self.saver.submit(snapshot, logs)
        self.lines, self.samples = [], []

    def _leave(self) -> None:
        self.saver.wait()
        distributed.barrier()
        raise PreemptedError(
            f"{self.run.name} was asked to end; it is saved at step {self.state.progress.step}"
            f" of {self.last_step}.",
            remedy="run the same command again: it goes on from there",
        )

    def feed(self) -> Iterable[Arrays]:
        """This worker's share of each step that is still to be done."""
        data, first_step = self.data, self.state.progress.step
        plan = FeedPlan(self.run.storage, data.dataset, data.recipe, self.share, first_step, self.last_step)
        return read_ahead(self.context.feed(plan), self.context.stall_timeout)

    def _completes(self, interval: float) -> bool:
        """Whether the step just done completes another `interval` of steps, or the run."""
        step = self.state.progress.step
        return int(step / interval) > int((step - 1) / interval) or step == self.last_step

    def _line(self, split: str, figures: dict[str, float]) -> Line:
        step = self.state.progress.step
        position = {
            "step": step,
            "epoch": step / self.steps_per_epoch,
            "samples": step * self.config.batch_size,
        }
        return position | {f"{split}/{name}": value for name, value in figures.items()}

    def _finish(self) -> TrainingResult:
        progress = self.state.progress
        self.even_start.end()
        self._average_statistics()
        if progress.best_weights is not None:
            load_weights(self.paradigm, progress.best_weights, allow_missing=True)
        elif self.state.average is not None:
            load_weights(self.paradigm, self.state.average.average, allow_missing=True)
        selected = progress.best_step if progress.best_weights is not None else progress.step
        lines = [line for line in self.run.read_log() if line["step"] == selected]
        return TrainingResult(
            steps=progress.step,
            selected_step=selected,
            samples_seen=progress.step * self.config.batch_size,
            device_seconds=progress.device_seconds,
            metrics={name: value for line in lines for name, value in line.items() if "/" in name},
            flops=(progress.flops_per_step or 0.0) * progress.step,
        )

    def _description(self) -> str:
        size = sum(each.numel() for each in self.paradigm.parameters() if each.requires_grad)
        return (
            f"{self.run.name}: {size:,} parameters to train, {self.data.num_rows:,} training rows, steps"
            f" {self.state.progress.step} to {self.last_step} of {self.config.batch_size} samples"
            f" ({self.share.world_size} workers x {self.config.accumulation} micro-batches)"
            f" on {self.context.device}, kept in {self.run.storage.address}"
        )


def _joined(shares: list[list[list[int]]], last_step: int) -> list[dict[str, Any]]:
    """The sample ids of each step, the workers' shares in the order of the global batch."""
    steps = [[identity for own in step for identity in own] for step in zip(*shares, strict=True)]
    return [{"step": last_step - len(steps) + 1 + n, "ids": ids} for n, ids in enumerate(steps)]


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
