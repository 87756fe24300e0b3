"""Linear layers at full speed on the CPU: the same products, from the faster of two libraries.

Torch takes matrix products from MKL and convolutions from oneDNN, which is twice as fast on an AMD processor
with AVX-512 (`benchmarks/RESULTS.md`). A linear layer is a convolution with a kernel of one, and in the
channels-last layout none of its rows has to be moved.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PICTURES = 16
"""Rows are shown to the convolution as so many pictures: on one thread torch takes fewer to MKL after all."""
LEAST_ROWS = 256
"""Below, the call itself costs more than is gained."""
LEAST_WEIGHTS = 1500
"""Likewise, of a matrix that few rows are multiplied with."""
LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""Rows times the transpose of a matrix, by oneDNN."""


def linear(
    rows: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*batch outputs"]:
    """`F.linear`, to rounding."""
    num_rows = rows.numel() // max(1, rows.shape[-1])
    if num_rows < LEAST_ROWS or num_rows % PICTURES or not _is_convolution_faster(rows, weight):
        return F.linear(rows, weight, bias)
    pictures = rows.reshape(PICTURES, -1, 1, rows.shape[-1]).permute(0, 3, 1, 2)
    products = F.conv2d(pictures, weight[:, :, None, None], bias)
    return products.permute(0, 2, 3, 1).reshape(*rows.shape[:-1], len(weight))


def multiply_into(
    result: Float[Tensor, "rows outputs"],
    rows: Float[Tensor, "rows inputs"],
    weight: Float[Tensor, "inputs outputs"],
) -> None:
    """Overwrite `result` with `rows` times `weight`, without gradients.

    oneDNN takes few rows as well as many by way of the operator that compiled graphs call, which torch has
    where oneDNN is; its result has to be copied, which small matrices are not worth.
    """
    if LINEAR is None or weight.numel() < LEAST_WEIGHTS or not _is_convolution_faster(rows, weight):
        torch.mm(rows, weight, out=result)
    else:
        result.copy_(LINEAR(rows, weight.t(), None, "none", [], ""))


def _is_convolution_faster(rows: Tensor, weight: Tensor) -> bool:
    """On the CPU in single precision, where oneDNN is there; autocast has kernels of its own."""
    return (
        rows.device.type == "cpu"
        and rows.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


class Linear(nn.Linear):
    """`nn.Linear` by way of `linear`."""

    def forward(self, input: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Every row times the weight, plus the bias."""
        return linear(input, self.weight, self.bias)


class KernelOne(nn.Conv1d):
    """A kernel-1 convolution over rows, [rows, channels]; parameters are those of the papers' `Conv1d`."""

    bias: nn.Parameter

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, num_outputs, 1)

    @property
    def matrix(self) -> Float[Tensor, "outputs inputs"]:
        """The kernel as what rows are multiplied with."""
        return self.weight.squeeze(2)

    def forward(self, input: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        """Every row times the kernel, plus the bias."""
        return linear(input, self.matrix, self.bias)
