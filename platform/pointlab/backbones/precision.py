"""Products that autocast is not to round.

DGCNN, PointNet++ and PointMLP multiply points once and then add, subtract or scale the products, where their
papers form the sum first and multiply it. The two agree only to the digits that products have: in half
precision, differences of near points would be mostly rounding. So these products are formed in float32.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def exact_products(device: torch.device) -> torch.autocast:
    """A context without autocast, in which products are as precise as what is multiplied."""
    return torch.autocast(device.type, enabled=False)


def wide(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The values in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
