"""Right answers about a set whose classes are not those of the classifier, but overlap with them.

An answer outside the shared classes is wrong: the main figures are over all of the classifier's classes.
Beside them stand those where it may name shared classes only, which are higher, and say what it tells apart
among them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from pointlab.evaluation.metrics import shares_of


@dataclass(frozen=True)
class SharedClasses:
    """For each class of the set the classes of the classifier that are right about it, perhaps none."""

    right: tuple[tuple[int, ...], ...]
    num_classes: int
    """Of the classifier."""

    @property
    def asked(self) -> tuple[int, ...]:
        """Classes of the set whose clouds the classifier is asked about."""
        return tuple(label for label, right in enumerate(self.right) if right)

    def metrics(
        self, logits: Float[Tensor, "clouds classes"], labels: Int64[Tensor, " clouds"]
    ) -> dict[str, float]:
        """`accuracy` and `mean_class_accuracy`, and `shared_` ones among the shared classes alone.

        `labels` are classes of the set, all of them asked.
        """
        is_right = self._is_right()
        only_shared = logits.masked_fill(~is_right.any(0), -torch.inf)
        plain, shared = (
            shares_of(is_right[labels, found.argmax(1)], labels) for found in (logits, only_shared)
        )
        return plain | {f"shared_{name}": value for name, value in shared.items()}

    def cross_entropy(
        self, logits: Float[Tensor, "clouds classes"], labels: Int64[Tensor, " clouds"]
    ) -> float:
        """Mean of -log of the probability that a right answer gets, of several together."""
        wrong = ~self._is_right()[labels]
        right = logits.double().log_softmax(1).masked_fill(wrong, -torch.inf)
        return float(-right.logsumexp(1).mean())

    def _is_right(self) -> Bool[Tensor, "set_classes classes"]:
        table = torch.zeros(len(self.right), self.num_classes, dtype=torch.bool)
        for label, right in enumerate(self.right):
            table[label, list(right)] = True
        return table
