"""The barrier between two models: how far the loss rises between their weights above the line of its ends.

With L(a) the loss of (1 - a) * pretrained + a * fine-tuned, the barrier is the maximum over the measured a of

    L(a) - ((1 - a) * L(0) + a * L(1)),

which is at least 0, its value at both ends. Two models without a barrier are linearly mode connected
(Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, section 2, whose
ends have about equal losses and are averaged; for ends that differ the line is that of Entezari et al., "The
Role of Permutation Invariance in Linear Mode Connectivity of Neural Networks", ICLR 2022, definition 2.1).
"""

import math
from collections.abc import Mapping

from pointlab.errors import TransferError


def barrier(losses: Mapping[float, float]) -> float:
    """Largest excess of the loss over the line between the `losses` at 0 and at 1; 0 where there is none.

    `losses` maps coefficients to losses. A loss that is no number makes a barrier that is none. Raises
    TransferError where an end was not measured, as there is no line then.
    """
    if missing := [f"{end:g}" for end in (0.0, 1.0) if end not in losses]:
        raise TransferError(
            f"The loss was not measured at the coefficient {' and '.join(missing)}.",
            expected="losses at both ends, 0 and 1, between which a barrier lies",
            remedy="add both ends to mixture.coefficients",
        )
    if not all(math.isfinite(loss) for loss in losses.values()):
        return math.nan
    return max(0.0, *(loss - ((1 - a) * losses[0.0] + a * losses[1.0]) for a, loss in losses.items()))
