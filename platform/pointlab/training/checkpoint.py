"""Checkpoints: everything the future of a run depends on, as safetensors and JSON.

A checkpoint holds the weights, the optimiser's state, the loss scale, the moving average, the best weights
so far, the means that the log has begun, and every worker's own state (running statistics of BatchNorm,
queues). The position in the data and the learning rate follow from the step, and random draws are keyed by
it, so no generator has to be saved. Taking one changes nothing: a run with checkpoints has the bits of a
run without. Frozen modules (teachers) are left out: they are named by hash elsewhere.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from pointlab import distributed
from pointlab.errors import DamagedError, TransferError
from pointlab.paradigms import Trainable
from pointlab.provenance import code_version, environment
from pointlab.training.averages import Averages
from pointlab.training.moving_average import MovingAverage
from pointlab.training.run import Run

logger = logging.getLogger(__name__)
Weights = dict[str, Tensor]
PROGRESS = "state/progress.json"


@dataclass
class Progress:
    """Where a run stands. `best_weights` are those of `best_step`, kept only where selection is "best"."""

    step: int = 0
    device_seconds: float = 0.0
    flops_per_step: float | None = None
    """Over all workers, as counted at the first step; None before it."""
    best_score: float | None = None
    best_step: int = 0
    best_weights: Weights | None = None


@dataclass
class TrainingState:
    """All that a training step changes."""

    paradigm: Trainable
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: MovingAverage | None = None
    means: Averages = field(default_factory=Averages)
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Snapshot:
    """A copy of a run's state on the CPU, to be stored while training goes on."""

    step: int
    tensors: dict[str, Weights]
    documents: dict[str, Any]
    conditions: dict[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of one file after the other."""
        for name, tensors in self.tensors.items():
            yield name, save_safetensors(tensors)
        for name, document in self.documents.items():
            yield name, json.dumps(document).encode()


def own_state(paradigm: Trainable) -> dict[str, Tensor]:
    """The tensors outside the frozen modules, parameters and buffers, by name."""
    frozen = {id(t) for module in paradigm.frozen() for t in module.state_dict(keep_vars=True).values()}
    state = paradigm.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if id(tensor) not in frozen}


def own_statistics(paradigm: Trainable) -> dict[str, Tensor]:
    """Running statistics of BatchNorm among `own_state`: what differs between workers."""
    own = own_state(paradigm)
    return {name: t for name, t in distributed.running_statistics(paradigm).items() if name in own}


def weights_of(paradigm: Trainable) -> Weights:
    """A copy, on the CPU, of every parameter and buffer outside the frozen modules."""
    return _copied(own_state(paradigm))


def _copied(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, allow_missing: bool = False) -> None:
    """Load `weights` into `module`; TransferError names keys and shapes that do not agree."""
    own = module.state_dict()
    problems = [f"{name} is unknown" for name in weights.keys() - own.keys()]
    if not allow_missing:
        problems += [f"{name} is missing" for name in own.keys() - weights.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
        for name in weights.keys() & own.keys()
        if weights[name].shape != own[name].shape
    ]
    if problems:
        raise TransferError(
            f"Weights do not fit {type(module).__name__}: {'; '.join(sorted(problems)[:5])}"
            + (f" and {len(problems) - 5} more." if len(problems) > 5 else "."),
            expected="a checkpoint of the same architecture",
            remedy="compare the backbone sections of the two configs",
        )
    module.load_state_dict(dict(weights), strict=False)


def capture(state: TrainingState) -> Snapshot | None:
    """A snapshot on the first worker, None on the others; every worker must take part."""
    everyone = distributed.gather_to_first(_of_this_worker(state))
    if distributed.rank() > 0:
        return None
    progress = state.progress
    tensors = {
        "weights.safetensors": weights_of(state.paradigm) | _mean([own["statistics"] for own in everyone]),
        "state/optimiser.safetensors": _copied(_optimiser_tensors(state)),
    }
    if state.average is not None:
        average = _copied(state.average.average) | _mean([own["average"] for own in everyone])
        tensors["state/average.safetensors"] = average
    if progress.best_weights is not None:
        tensors["state/best.safetensors"] = progress.best_weights
    for rank, own in enumerate(everyone):
        flat = {f"{part}/{name}": t for part in _PARTS for name, t in own[part].items()}
        if flat:
            tensors[_own_file(rank)] = flat
    document = {name: getattr(progress, name) for name in _NUMBERS}
    document |= {"scaler": state.scaler.state_dict(), "means": [own["means"] for own in everyone]}
    return Snapshot(progress.step, tensors, {PROGRESS: document}, conditions())


def conditions() -> dict[str, str]:
    """What the last bits of a step depend on beside its input."""
    here = environment()
    return {name: here[name] for name in ("torch", "machine", "processor", "device")} | {
        "code": code_version(),
        "workers": str(distributed.world_size()),
        "threads": str(torch.get_num_threads()),
    }


_NUMBERS = ("step", "device_seconds", "flops_per_step", "best_score", "best_step")
_PARTS = ("paradigm", "statistics", "average")


def _of_this_worker(state: TrainingState) -> dict[str, Any]:
    """What differs between workers; alone, running statistics are simply part of the weights."""
    own: dict[str, Any] = {part: {} for part in _PARTS}
    own["paradigm"] = _copied(state.paradigm.per_rank_state())
    own["means"] = state.means.document()
    if distributed.world_size() > 1:
        names = own_statistics(state.paradigm)
        own["statistics"] = _copied(names)
        if state.average is not None:
            own["average"] = _copied({name: state.average.average[name] for name in names})
    return own


def _mean(states: list[Weights]) -> Weights:
    return {name: torch.stack([own[name] for own in states]).mean(0) for name in states[0]}


def _own_file(rank: int) -> str:
    return f"state/rank-{rank:05d}.safetensors"


def restore(run: Run, state: TrainingState) -> None:
    """Go on from the newest whole checkpoint, dropping later lines of the log; without one, start anew.

    The first worker chooses, so that all go on from the same one. A damaged checkpoint is passed over for
    the one before it, which leads to the same weights a little later.
    """
    chosen = _newest_intact(run) if distributed.rank() == 0 else None
    step = distributed.broadcast_object(chosen[0] if chosen else None)
    if distributed.rank() == 0:
        run.drop_after(step or 0)
    if step is None:
        return
    files = chosen[1] if chosen else run.read_checkpoint(step)
    load_weights(state.paradigm, load_safetensors(files["weights.safetensors"]), allow_missing=True)
    _load_optimiser(state, load_safetensors(files["state/optimiser.safetensors"]))
    if state.average is not None:
        state.average.restore(load_safetensors(files["state/average.safetensors"]))
    document = json.loads(files[PROGRESS])
    state.scaler.load_state_dict(document.pop("scaler"))
    means = document.pop("means")
    state.means.restore(means)
    state.progress = Progress(**document)
    if "state/best.safetensors" in files:
        state.progress.best_weights = load_safetensors(files["state/best.safetensors"])
    _load_own(state, files, num_saved=len(means))


def _newest_intact(run: Run) -> tuple[int, dict[str, bytes]] | None:
    for step in reversed(run.checkpoints()):
        try:
            files = run.read_checkpoint(step)
            _warn_of_other_bits(run, step)
            return step, files
        except DamagedError as error:
            logger.warning("The checkpoint of step %d is passed over. %s", step, error.found)
    return None


def _warn_of_other_bits(run: Run, step: int) -> None:
    """Say where going on may not give the last bits that an undisturbed run would have."""
    before, here = run.checkpoint_details(step).get("conditions", {}), conditions()
    changed = [
        f"{name} {before.get(name)}, now {value}" for name, value in here.items() if before.get(name) != value
    ]
    if changed:
        logger.warning(
            "%s goes on at step %d from a checkpoint of other conditions (%s): its last bits may differ from"
            " those of an undisturbed run",
            run.name,
            step,
            "; ".join(changed),
        )


@torch.no_grad()
def _load_own(state: TrainingState, files: Mapping[str, bytes], num_saved: int) -> None:
    """This worker's own state; where their number has changed, statistics stay the mean of all workers'."""
    rank, world_size = distributed.rank(), distributed.world_size()
    content = files.get(_own_file(rank % num_saved))
    if content is None:
        return
    saved = load_safetensors(content)
    parts = {
        part: {name.removeprefix(f"{part}/"): t for name, t in saved.items() if name.startswith(f"{part}/")}
        for part in _PARTS
    }
    if parts["paradigm"]:
        state.paradigm.load_per_rank_state(parts["paradigm"])
    if num_saved == world_size:
        buffers = own_statistics(state.paradigm)
        for name, value in parts["statistics"].items():
            buffers[name].copy_(value)
        if state.average is not None:
            state.average.restore(parts["average"])


def _optimiser_tensors(state: TrainingState) -> Weights:
    """The optimiser's state under `<parameter>/<entry>`, independent of how parameters are grouped."""
    return {
        f"{name}/{entry}": tensor
        for name, parameter in state.paradigm.named_parameters()
        for entry, tensor in state.optimiser.state.get(parameter, {}).items()
    }


def _load_optimiser(state: TrainingState, tensors: Weights) -> None:
    parameters = dict(state.paradigm.named_parameters())
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition("/")
        device = "cpu" if entry == "step" else parameters[name].device
        state.optimiser.state[parameters[name]][entry] = tensor.to(device)
