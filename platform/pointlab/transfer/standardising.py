"""Features of mean 0 and deviation 1 for a head to be trained on, and the same head for features as they are.

The first layer of a head takes the standardisation in: nothing but the head has to be stored.
"""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from pointlab.objectives.heads import Head


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of every feature over the training clouds."""

    mean: Float64[Tensor, " features"]
    deviation: Float64[Tensor, " features"]

    @classmethod
    def of(cls, features: Float[Tensor, "samples features"]) -> "Scale":
        """That of these features; one that varies by no more than float32 rounds is not stretched."""
        mean, deviation = features.double().mean(0), features.double().std(0)
        varies = deviation > 1e-6 * (1 + mean.abs())
        return cls(mean, torch.where(varies, deviation, 1.0))

    def standardised(self, features: Float[Tensor, "samples features"]) -> Float[Tensor, "samples features"]:
        """These features, which may be of other clouds, on this scale."""
        return ((features.double() - self.mean) / self.deviation).float()

    def folded_into(self, head: Head) -> Head:
        """The head that answers to features as they are what `head` does to standardised ones."""
        first = first_layer(head)
        weight = first.weight.detach()[:, : len(self.mean)].double() / self.deviation
        bias = first.bias.detach().double() - weight @ self.mean
        return with_first_layer(head, weight.float(), bias.float()).eval().requires_grad_(False)


def first_layer(head: Head) -> nn.Linear:
    """The one that reads features."""
    layer = head[0]
    assert isinstance(layer, nn.Linear), "every head begins with a linear layer"
    return layer


def with_first_layer(
    head: Head, weight: Float[Tensor, "hidden features"], bias: Float[Tensor, " hidden"] | None = None
) -> Head:
    """A copy of the head whose first layer has this weight, and this bias or its own."""
    changed, own = copy.deepcopy(head), first_layer(head).bias
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])  # which draws nothing
    state = {"weight": weight.detach(), "bias": (own if bias is None else bias).detach()}
    layer.load_state_dict(state)
    changed[0] = layer
    return changed


def widened(rows: Float[Tensor, "rows features"], width: int) -> Float[Tensor, "rows {width}"]:
    """With columns of zeros at the end, which change no product and get no gradient."""
    return F.pad(rows, (0, width - rows.shape[1]))
