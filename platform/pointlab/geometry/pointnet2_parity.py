"""What the sampling kernel of pointnet2_ops does beyond its definition, for parity with networks it fed.

It passes over points near the origin, which it takes for padding, and its order among equally far points
follows from how its threads divide the cloud (`sampling_gpu.cu` of Pointnet2_PyTorch).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_NEAR_ORIGIN = 1e-3
"""Squared norm up to which a point is passed over; compared in float64, as the kernel's literal is."""
_MOST_THREAD_BITS = 9
"""A cloud gets as many threads as the largest power of two that it can fill, and at most 2^9."""


def is_off_origin(points: Float[Tensor, "batch points 3"]) -> Bool[Tensor, "batch points"]:
    """True for the points that the kernel may choose."""
    x, y, z = points.square().unbind(2)
    return (x + y + z).double() > _NEAR_ORIGIN


def kernel_preference(
    points: Float[Tensor, "batch points 3"], counts: Int64[Tensor, " batch"] | None
) -> Int64[Tensor, "batch points"]:
    """Rows of each cloud in the order in which the kernel prefers them among ties; row 0 leads.

    Thread t of T looks at rows t, t + T, ... and keeps the first of equals. A tree then compares thread t
    with t + T/2, those with t + T/4, and so on, and keeps the left one: the lowest bit of t matters most.
    """
    rows = torch.arange(points.shape[1], device=points.device)
    lengths = rows.new_tensor([len(rows)]) if counts is None else counts
    thread_bits = torch.frexp(lengths.double()).exponent - 1
    thread = rows % torch.bitwise_left_shift(1, thread_bits).unsqueeze(1)
    reversed_thread = torch.zeros_like(thread)
    for bit in range(_MOST_THREAD_BITS):  # higher bits of a row pick no thread
        reversed_thread = 2 * reversed_thread + (thread >> bit) % 2
    return reversed_thread.argsort(dim=1, stable=True).expand(len(points), -1)
