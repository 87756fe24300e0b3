"""The maximum over the members of a patch, with gradients that follow it alone.

Each channel's maximum is one member's, so in the backward pass of a linear layer below a maximum all products
but one in a patch's size are with zero. They are left out here: what remains are sums of few weighted rows.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointlab.backbones.products import linear

Members = Float[Tensor, "patches members channels"]


def maximum(values: Members) -> Float[Tensor, "patches channels"]:
    """The maximum over members; the gradient goes to the first member that has it."""
    if not _will_be_differentiated(values):  # nobody asks which member it was
        return values.amax(1)
    found: Tensor = _Maximum.apply(values)  # type: ignore[no-untyped-call]
    return found


def maximal_product(
    rows: Float[Tensor, "patches members inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "patches outputs"]:
    """The maximum over members of `linear(rows, weight, bias)`."""
    is_dense = rows.device.type != "cpu" or torch.is_autocast_enabled("cpu")  # there, such products are cheap
    if is_dense or not _will_be_differentiated(rows, weight, bias):
        return maximum(linear(rows, weight, bias))
    found: Tensor = _MaximalProduct.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return found


def maximum_and_member(
    values: Members,
) -> tuple[Float[Tensor, "patches channels"], Int64[Tensor, "patches channels"]]:
    """The maximum over members, and the first member that has it."""
    if values.device.type != "cpu" or values.shape[1] > 256:
        return values.amax(1), values.argmax(1)
    # Maxima of floats and of bytes are vectorised, the search for a place is not: a third of the time.
    largest = values.amax(1)
    last_place = values.shape[1] - 1
    countdown = torch.arange(last_place, -1, -1, dtype=torch.uint8).unsqueeze(1)
    return largest, last_place - ((values == largest.unsqueeze(1)) * countdown).amax(1).long()


def _will_be_differentiated(*operands: Tensor) -> bool:
    return torch.is_grad_enabled() and any(operand.requires_grad for operand in operands)


class _Maximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        largest, member = maximum_and_member(values)
        ctx.save_for_backward(member)
        ctx.num_members = values.shape[1]
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (member,) = ctx.saved_tensors
        patches, channels = gradient.shape
        spread = gradient.new_zeros(patches, ctx.num_members, channels)
        return spread.scatter_(1, member.unsqueeze(1), gradient.unsqueeze(1))


class _MaximalProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        largest, member = maximum_and_member(linear(rows, weight, bias))
        ctx.save_for_backward(rows, weight, member)
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, member = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            _to_rows(gradient, weight, member, rows.shape[1]) if of_rows else None,
            _to_weight(gradient, rows, member) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _to_rows(
    gradient: Float[Tensor, "patches outputs"],
    weight: Float[Tensor, "outputs inputs"],
    member: Int64[Tensor, "patches outputs"],
    num_members: int,
) -> Float[Tensor, "patches {num_members} inputs"]:
    """For each member, the weights of the outputs that it is the maximum of, times their gradients."""
    by_member, outputs = member.sort(dim=1, stable=True)
    counts = torch.zeros(len(member), num_members, dtype=torch.int64).scatter_add_(
        1, by_member, torch.ones_like(by_member)
    )
    starts = counts.flatten().cumsum(0) - counts.flatten()
    summed = F.embedding_bag(
        outputs.flatten(),
        weight,
        starts,
        mode="sum",
        per_sample_weights=gradient.gather(1, outputs).flatten(),
    )
    return summed.view(*counts.shape, -1)


def _to_weight(
    gradient: Float[Tensor, "patches outputs"],
    rows: Float[Tensor, "patches members inputs"],
    member: Int64[Tensor, "patches outputs"],
) -> Float[Tensor, "outputs inputs"]:
    """For each output, the rows that were its maxima, times their gradients."""
    patches, num_members, _ = rows.shape
    places = member + num_members * torch.arange(patches).unsqueeze(1)
    starts = patches * torch.arange(member.shape[1])
    return F.embedding_bag(
        places.T.flatten(),
        rows.flatten(0, 1),
        starts,
        mode="sum",
        per_sample_weights=gradient.T.flatten(),
    )
