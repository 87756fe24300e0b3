"""Synchronised BatchNorm: every worker normalises with the moments of all workers' samples.

With it, k workers train as one worker with the whole micro-batch would. Torch's own SyncBatchNorm refuses
tensors on the CPU; this one runs wherever the process group does.

The workers' moments are combined as counts, means and sums of squared deviations, which stay exact where a
mean is large beside its deviation (the pairwise algorithm of Chan, Golub and LeVeque, "Algorithms for
Computing the Sample Variance: Analysis and Recommendations", The American Statistician 37, 1983). The
gradient is that of Ioffe and Szegedy, "Batch Normalization", ICML 2015, section 3, with its sums taken over
all workers.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pointlab import distributed
from pointlab.backbones.pointwise import RowNorm
from pointlab.errors import TrainingError


def synchronise_batch_norm(module: nn.Module, frozen: Iterable[nn.Module] = ()) -> None:
    """Let every BatchNorm in `module`, outside `frozen` modules, see the samples of all workers.

    In place, by giving each layer another class: parameters, buffers, hooks, names and whoever holds the
    layer are left as they are. All workers must call the layers in one order, as they call collectives.
    """
    spared = {id(layer) for one in frozen for layer in one.modules()}
    for layer in module.modules():
        if id(layer) not in spared:
            kind = type(layer)
            is_new = isinstance(layer, _BatchNorm) and not isinstance(layer, _SynchronisedBatchNorm)
            assert not is_new or kind in _SYNCHRONISED, f"{kind.__name__} has no synchronised form"
            layer.__class__ = _SYNCHRONISED.get(kind, kind)


class _SynchronisedBatchNorm(distributed.GlobalStatistics, _BatchNorm):
    """BatchNorm over all workers while training; torch's own alone and in eval mode."""

    def forward(self, input: Tensor) -> Tensor:
        """`input` normalised in each channel; TrainingError if all workers hold one value for it."""
        if not self.training or distributed.world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        count, mean, squares = _global_moments(input)
        if self.track_running_stats:
            self._update(mean, squares / (count - 1))
        normalised: Tensor = _Normalised.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, mean, squares / count, count, self.eps
        )
        return normalised

    def _update(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards these: by `momentum`, or to the mean over all batches."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


class SynchronisedBatchNorm1d(_SynchronisedBatchNorm, nn.BatchNorm1d):
    """BatchNorm of [samples, channels] or [samples, channels, points] over all workers."""


class SynchronisedBatchNorm2d(_SynchronisedBatchNorm, nn.BatchNorm2d):
    """BatchNorm of [samples, channels, height, width] over all workers."""


class SynchronisedBatchNorm3d(_SynchronisedBatchNorm, nn.BatchNorm3d):
    """BatchNorm of [samples, channels, depth, height, width] over all workers."""


class SynchronisedRowNorm(RowNorm, SynchronisedBatchNorm2d):
    """BatchNorm of packed rows, [rows, channels], over all workers."""

    def require_several(self, num_rows: int) -> None:
        """DataError for a single row while training alone; of several workers, one may have it."""
        if distributed.world_size() == 1:
            super().require_several(num_rows)


_SYNCHRONISED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SynchronisedBatchNorm1d,
    nn.BatchNorm2d: SynchronisedBatchNorm2d,
    nn.BatchNorm3d: SynchronisedBatchNorm3d,
    RowNorm: SynchronisedRowNorm,
}


class _Normalised(torch.autograd.Function):
    """Values normalised with moments of all workers' values; backwards through the moments as well."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(values, weight, mean, (variance + eps).rsqrt(), count)
        weight, bias = (None if given is None else given.to(mean) for given in (weight, bias))
        # torch's kernel for moments that are known: one pass, no copy, and its rules for mixed precision
        return F.batch_norm(values, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, scale, count = ctx.saved_tensors
        others, broadcast = _other_dimensions(values), (-1, *[1] * (values.ndim - 2))
        gradient = gradient.to(mean.dtype)
        normalised = (values - mean.view(broadcast)) * scale.view(broadcast)
        for_bias, for_weight = gradient.sum(others), (gradient * normalised).sum(others)
        for_values = None
        if ctx.needs_input_grad[0]:  # alike on all workers, as all run one network
            shift, stretch = distributed.sum_across(torch.stack([for_bias, for_weight])) / count
            for_values = (gradient - shift.view(broadcast)).sub_(normalised.mul_(stretch.view(broadcast)))
            for_values *= (scale if weight is None else scale * weight).view(broadcast)
            for_values = for_values.to(values.dtype)
        own = (for_weight, for_bias) if weight is None else (for_weight.to(weight), for_bias.to(weight))
        needed = [one if needs else None for one, needs in zip(own, ctx.needs_input_grad[1:3], strict=True)]
        return for_values, *needed, None, None, None, None


@torch.no_grad()
def _global_moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, means and sums of squared deviations of the channels' values over all workers.

    In float32 at least, whatever the precision of the values. TrainingError if there is nothing to vary.
    """
    num_channels, own_count = values.shape[1], values.numel() // values.shape[1]
    own = _moments(values.to(torch.promote_types(values.dtype, torch.float32)), own_count)
    gathered = distributed.gather_with_gradient(own)
    counts, means, squares = gathered.split([1, num_channels, num_channels], dim=1)
    count = counts.sum()
    if own_count < 2 and count < 2:  # asked in this order, so that the device is rarely waited for
        raise TrainingError(
            f"BatchNorm got {int(count)} values per channel from all {distributed.world_size()} workers.",
            expected="at least 2, as one value does not vary",
            remedy="raise training.batch_size, or lower training.accumulation",
        )
    mean = (counts * means).sum(0) / count
    return count, mean, (squares + counts * (means - mean) ** 2).sum(0)


def _moments(values: Tensor, count: int) -> Tensor:
    """Count, means and sums of squared deviations of this worker's values, in one row; zeros without any."""
    if count == 0:
        return values.new_zeros(1 + 2 * values.shape[1])
    variance, mean = torch.var_mean(values, _other_dimensions(values), correction=0)
    return torch.cat([mean.new_full((1,), count), mean, variance * count])


def _other_dimensions(values: Tensor) -> list[int]:
    """All dimensions but that of the channels."""
    return [0, *range(2, values.ndim)]
