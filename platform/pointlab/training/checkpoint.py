"""Checkpoints: everything the future of a run depends on, as safetensors and JSON.

A checkpoint holds the weights, the optimiser's state, the best weights so far, the position in the stream
and every worker's own state. Random draws are keyed by the step, so no generator has to be saved. Frozen
modules (teachers) are left out: they are named by hash elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from pointlab import distributed
from pointlab.errors import TransferError
from pointlab.paradigms import Paradigm
from pointlab.storage import FileEntry
from pointlab.training.run import Run

Weights = dict[str, Tensor]


@dataclass
class Progress:
    """Where a run stands. `best_weights` are those of `best_step`, kept only where selection is "best"."""

    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int = 0
    best_weights: Weights | None = None


def weights_of(paradigm: Paradigm) -> Weights:
    """A copy, on the CPU, of every parameter and buffer outside the frozen modules."""
    frozen = {id(t) for module in paradigm.frozen() for t in module.state_dict(keep_vars=True).values()}
    state = paradigm.state_dict(keep_vars=True)
    return {name: t.detach().cpu().clone() for name, t in state.items() if id(t) not in frozen}


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


def save(run: Run, paradigm: Paradigm, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Write the checkpoint of `progress.step`; every worker calls this, the first one seals it."""
    files = _put_own_state(run, paradigm, progress.step)
    if distributed.rank() == 0:
        contents = {
            "weights.safetensors": save_safetensors(weights_of(paradigm)),
            "state/optimiser.safetensors": save_safetensors(_optimiser_tensors(paradigm, optimiser)),
            "state/progress.json": json.dumps(
                {k: getattr(progress, k) for k in ("step", "seconds", "best_score", "best_step")}
            ).encode(),
        }
        if progress.best_weights is not None:
            contents["state/best.safetensors"] = save_safetensors(progress.best_weights)
        files |= {name: run.put_checkpoint_file(progress.step, name, c) for name, c in contents.items()}
        run.seal_checkpoint(progress.step, files, {"step": progress.step})
    distributed.barrier()


def _put_own_state(run: Run, paradigm: Paradigm, step: int) -> dict[str, FileEntry]:
    own = paradigm.per_rank_state()
    if not own:
        return {}
    name = f"state/rank-{distributed.rank():05d}.safetensors"
    entry = run.put_checkpoint_file(step, name, save_safetensors({k: t.cpu() for k, t in own.items()}))
    return dict(distributed.gather_objects((name, entry)))


def restore(run: Run, paradigm: Paradigm, optimiser: torch.optim.Optimizer) -> Progress:
    """Continue from the newest whole checkpoint, dropping later lines of the log; without one, start."""
    steps = run.checkpoints()
    if not steps:
        return Progress()
    files = run.read_checkpoint(steps[-1])
    load_weights(paradigm, load_safetensors(files["weights.safetensors"]), allow_missing=True)
    _load_optimiser(paradigm, optimiser, load_safetensors(files["state/optimiser.safetensors"]))
    own = files.get(f"state/rank-{distributed.rank():05d}.safetensors")
    if own is not None:
        paradigm.load_per_rank_state(load_safetensors(own))
    progress = Progress(**json.loads(files["state/progress.json"]))
    if "state/best.safetensors" in files:
        progress.best_weights = load_safetensors(files["state/best.safetensors"])
    if distributed.rank() == 0:
        run.drop_log_after(progress.step)
    return progress


def _optimiser_tensors(paradigm: Paradigm, optimiser: torch.optim.Optimizer) -> Weights:
    """The optimiser's state under `<parameter>/<entry>`, independent of how parameters are grouped."""
    return {
        f"{name}/{entry}": tensor.detach().cpu()
        for name, parameter in paradigm.named_parameters()
        for entry, tensor in optimiser.state.get(parameter, {}).items()
    }


def _load_optimiser(paradigm: Paradigm, optimiser: torch.optim.Optimizer, tensors: Weights) -> None:
    parameters = dict(paradigm.named_parameters())
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition("/")
        device = "cpu" if entry == "step" else parameters[name].device
        optimiser.state[parameters[name]][entry] = tensor.to(device)
