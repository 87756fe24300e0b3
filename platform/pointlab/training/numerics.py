"""Number formats, threads and algorithms: all that the last bits of a step depend on beside its input."""

import contextlib

import torch
from torch import nn

from pointlab.training.allocation import keep_freed_memory

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def prepare_process(num_threads: int) -> None:
    """Fix threads and algorithms, on which the last bits of sums depend; and keep freed memory for speed."""
    keep_freed_memory()
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Torch would fill memory that it is about to overwrite: that finds defects, and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Matrix products in half precision where `precision` asks for them."""
    return torch.autocast(device.type, FORMATS[precision], enabled=precision != "fp32")


def build_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Scales losses so that fp16 gradients do not vanish; does nothing for other formats."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def without_exchange(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """A block in which gradients add up on each worker alone."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
