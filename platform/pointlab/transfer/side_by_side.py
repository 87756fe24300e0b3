"""Many small networks of one shape, trained side by side as one batched network.

Small products leave a machine idle: on a GPU a step of fifty heads takes little longer than that of one. Each
network has its own inputs, learning rate and weight decay, all have the same labels and the same dropout, so
that each is what it would be alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state


@dataclass(frozen=True)
class Learning:
    """How one of the networks learns."""

    learning_rate: float
    weight_decay: float


class SideBySide:
    """The networks while they are trained, by AdamW; as in the papers only matrices decay.

    A bias that batch normalisation takes away again stays as it is: its gradient is nothing but rounding,
    which AdamW would blow up to steps of full length.
    """

    def __init__(self, networks: Sequence[nn.Sequential], learning: Sequence[Learning]) -> None:
        """All `networks` have one shape and are on one device; `write_back` gives them what was learned."""
        self.networks = networks
        for network in networks:
            network.train()
        self.weights, self.buffers = stack_module_state(list(networks))
        self._run = torch.vmap(self._forward, randomness="same")
        self._leaves: list[tuple[Tensor, str, int]] = []
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, stacked in self.weights.items():
            if name in _taken_away(networks[0]):
                continue
            for number, own in enumerate(learning):
                leaf = stacked.detach()[number]
                decay = own.weight_decay if leaf.ndim > 1 else 0.0
                groups.setdefault((own.learning_rate, decay), []).append(leaf)
                self._leaves.append((leaf, name, number))
        described = [
            {"params": leaves, "lr": rate, "base_rate": rate, "weight_decay": decay}
            for (rate, decay), leaves in groups.items()
        ]
        self._optimiser = torch.optim.AdamW(described, fused=True)  # one pass over each network's arrays

    def step(
        self,
        inputs: Float[Tensor, "networks batch features"],
        labels: Int64[Tensor, " batch"],
        *,
        rate_factor: float,
        label_smoothing: float = 0.0,
    ) -> None:
        """One step of every network down its own mean cross-entropy, at so many times its learning rate."""
        for stacked in self.weights.values():
            stacked.grad = None
        logits = self._run(self.weights, self.buffers, inputs)
        everyones = labels.repeat(len(self.networks))
        losses = F.cross_entropy(
            logits.flatten(0, 1), everyones, reduction="sum", label_smoothing=label_smoothing
        )
        (losses / len(labels)).backward()
        for leaf, name, number in self._leaves:
            gradient = self.weights[name].grad
            assert gradient is not None, "every weight takes part in the answer"
            leaf.grad = gradient[number]
        for group in self._optimiser.param_groups:
            group["lr"] = group["base_rate"] * rate_factor
        self._optimiser.step()

    def write_back(self) -> None:
        """Load what was learned into the networks."""
        state = {**self.weights, **self.buffers}
        for number, network in enumerate(self.networks):
            network.load_state_dict({name: stacked.detach()[number] for name, stacked in state.items()})

    def _forward(self, weights: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        answer: Tensor = functional_call(self.networks[0], (weights, buffers), (inputs,))
        return answer


def _taken_away(network: nn.Sequential) -> set[str]:
    """Names of the biases of layers that batch normalisation follows."""
    layers = pairwise(network.named_children())
    return {f"{name}.bias" for (name, _), (_, after) in layers if isinstance(after, nn.BatchNorm1d)}
