"""The exponential moving average of a network's weights, kept beside the weights that are trained.

With decay d the average follows as a = d * a + (1 - d) * w after every step (Polyak averaging with
exponential forgetting). Running statistics of BatchNorm are averaged with the weights they belong to;
counters are copied. Where it is on, it is what is validated, selected and exported.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

State = Mapping[str, Tensor]


class MovingAverage:
    """The average of the tensors in `state`, which are followed as they change in place."""

    def __init__(self, state: State, decay: float) -> None:
        """Start from the present values."""
        self.state = dict(state)
        self.average = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._follow = get_ema_multi_avg_fn(decay)
        self._floats = [name for name, tensor in state.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present values."""
        averages = [self.average[name] for name in self._floats]
        self._follow(averages, [self.state[name].detach() for name in self._floats], 1)
        for name in self.state.keys() - set(self._floats):
            self.average[name].copy_(self.state[name])

    @torch.no_grad()
    def restore(self, average: State) -> None:
        """Go on from saved averages."""
        for name, tensor in average.items():
            self.average[name].copy_(tensor)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """A block in which the network has the averaged weights."""
        trained = {name: tensor.detach().clone() for name, tensor in self.state.items()}
        self._assign(self.average)
        try:
            yield
        finally:
            self._assign(trained)

    @torch.no_grad()
    def _assign(self, values: State) -> None:
        for name, tensor in self.state.items():
            tensor.copy_(values[name])


def averaged(average: MovingAverage | None) -> contextlib.AbstractContextManager[None]:
    """A block with the averaged weights in place, where there is an average."""
    return contextlib.nullcontext() if average is None else average.in_place()
