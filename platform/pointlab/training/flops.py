"""Floating point operations of a step, forward and backward, counted by torch on a copy of what is trained.

Counted are products of matrices, convolutions and attention, a multiplication and an addition as two. All
else is not, for torch knows no figures for it: gathers, comparisons of neighbours (nearest points, farthest
point sampling, Chamfer distances), normalisation, activations and the optimiser. These take time, and on
small networks most of it, so that device seconds stand beside.
"""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from pointlab.data.sample import PointBatch
from pointlab.paradigms import Trainable
from pointlab.training.numerics import autocast

Shape = tuple[int, ...]
COUNTED = (
    "products of matrices, convolutions and attention, forward and backward; gathers, comparisons of"
    " neighbours, normalisation and the optimiser are not counted"
)


def flops_of_step(
    paradigm: Trainable, batch: PointBatch, device: torch.device, precision: str, key: int
) -> float:
    """Operations for the loss of this micro-batch and its gradient; neither weights nor generators move.

    `key` is that of the micro-batch, so that as much is drawn for masks as in the step itself.
    """
    trial = _copied(paradigm)
    with counted() as counter, _drawing_apart(device):
        torch.manual_seed(key)
        with autocast(device, precision):
            loss = trial(batch.to(device)).loss
        loss.backward()
    return float(counter.get_total_flops())


def counted() -> FlopCounterMode:
    """A block whose operations are counted, those of attention on processors too."""
    return FlopCounterMode(display=False, custom_mapping=_ON_PROCESSORS)


def _copied(paradigm: Trainable) -> Trainable:
    """A copy to train on; what is frozen is shared, as nothing of it changes."""
    shared: dict[int, Any] = {id(module): module for module in paradigm.frozen()}
    trial = copy.deepcopy(paradigm, shared)
    for parameter in trial.parameters():
        parameter.grad = None
    return trial


@contextlib.contextmanager
def _drawing_apart(device: torch.device) -> Iterator[None]:
    """Torch's generators are afterwards what they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


_ON_PROCESSORS: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Torch applies its formulas to attention on GPUs alone."""
