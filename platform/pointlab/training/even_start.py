"""Running statistics of BatchNorm that are right from the first step on.

Torch starts them at mean 0 and variance 1 and lets in a tenth of each batch's, so that after n batches 0.9^n
of what they say is that start. Patches of a cloud vary by a thousandth of 1: a network that was trained for
fifty steps would divide by far too much when it is evaluated, and nothing of what it learnt would show. Here
the first batches count alike, as in a plain mean, until each counts a tenth; a hundred batches later both
are the same.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Share:
    """Gives a layer's next batch its share of the running statistics: 1 / n, but no less than `least`."""

    def __init__(self, layer: _BatchNorm, least: float) -> None:
        assert layer.num_batches_tracked is not None, "the layer keeps statistics"
        self.least, self.num_batches = least, int(layer.num_batches_tracked)

    def __call__(self, layer: nn.Module, _inputs: Any) -> None:
        if layer.training and layer.momentum is not None:  # None: somebody takes a plain mean of their own
            self.num_batches += 1
            layer.momentum = max(self.least, 1 / self.num_batches)  # type: ignore[assignment]


class EvenStart:
    """Even shares for the first batches of every BatchNorm in `module`, outside `frozen` ones, until `end`.

    A layer that has seen batches goes on where it stands, so a resumed run is an undisturbed one, and a
    pretrained network keeps its statistics until those of the new data replace them.
    """

    def __init__(self, module: nn.Module, frozen: Iterable[nn.Module] = ()) -> None:
        """Take over the layers' shares; their counts are read now."""
        spared = {id(layer) for one in frozen for layer in one.modules()}
        self._layers = [
            (layer, layer.momentum)
            for layer in module.modules()
            if isinstance(layer, _BatchNorm)
            and layer.track_running_stats
            and layer.momentum is not None
            and id(layer) not in spared
        ]
        self._hooks = [
            layer.register_forward_pre_hook(_Share(layer, momentum)) for layer, momentum in self._layers
        ]

    def end(self) -> None:
        """Leave the layers as they were."""
        for hook in self._hooks:
            hook.remove()
        for layer, momentum in self._layers:
            layer.momentum = momentum
