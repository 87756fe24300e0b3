"""Model soups: the average of several models that were fine-tuned from one start with different settings.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", ICML 2022. The uniform soup averages all ingredients (section 2). The greedy soup
(recipe 1) tries them from the best to the worst, and keeps one if the soup with it is better on validation
data: strictly, as in the released code, where the paper's listing lets equals in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import JsonValue
from torch import Tensor

from pointlab.config import StrictModel
from pointlab.transfer.interpolate import Weights, require_agreement

Members = tuple[int, ...]
"""The ingredients of a soup, by number, from 0 on."""
Recipe = Literal["uniform", "greedy"]
Score = Callable[[Members], float]
"""How good a soup of these members is on validation data."""


class SoupConfig(StrictModel):
    """What is averaged, and by which recipe."""

    method: Recipe = "greedy"
    """The paper's recommendation: an ingredient that harms is left out."""
    ingredients: tuple[dict[str, JsonValue], ...] = ()
    """For each fine-tuning what it sets otherwise than this transfer, by dotted path, such as
    `training.optimiser.learning_rate: 1.0e-4`; `{}` is the transfer as it stands."""
    probe_again: bool = False
    """Whether a new linear probe replaces the average of the heads, as in WiSE-FT-LP."""

    @property
    def stamp(self) -> str:
        """What a table may compare a soup with, beside its protocol."""
        return f"/{self.method}" + ("/probed-again" if self.probe_again else "")


@dataclass(frozen=True)
class Tasting:
    """A soup that was tried: the score of its `members` together, and whether the last of them stayed."""

    members: Members
    score: float
    is_kept: bool


def average(models: Sequence[Weights]) -> dict[str, Tensor]:
    """The uniform soup: the mean of each entry of state dicts of equal keys, shapes and types.

    Summed in float64, so that neither the order nor copies of one model change it. Integer buffers (counters)
    are those of the first. Running statistics are averaged like weights, which does not make them right: see
    `batch_norm`. Raises TransferError where the models do not agree, naming the entries.
    """
    require_agreement(models)
    first, *_ = models
    return {
        name: torch.stack([model[name].double() for model in models]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in first.items()
    }


def taste_greedily(num_ingredients: int, score: Score) -> list[Tasting]:
    """All soups that the greedy recipe tries, in its order; the last one kept is its result.

    The first soups have one member each and give the order, from the best to the worst, among equals by
    number; the best one is where the recipe starts. Another is kept if the score rises strictly.
    """
    alone = [score((number,)) for number in range(num_ingredients)]
    best, *others = sorted(range(num_ingredients), key=lambda number: -alone[number])
    tastings = [Tasting((number,), alone[number], number == best) for number in range(num_ingredients)]
    kept: tuple[int, ...] = (best,)
    highest = alone[best]
    for number in others:
        candidate = (*kept, number)
        reached = score(candidate)
        tastings.append(Tasting(candidate, reached, reached > highest))
        if reached > highest:
            kept, highest = candidate, reached
    return tastings


def taste_uniformly(num_ingredients: int, score: Score) -> list[Tasting]:
    """Every ingredient alone, to compare with, and last the soup of all of them, which is kept."""
    alone = [(number,) for number in range(num_ingredients)]
    everything = tuple(range(num_ingredients))
    return [
        *(Tasting(members, score(members), is_kept=False) for members in alone),
        Tasting(everything, score(everything), is_kept=True),
    ]


RECIPES: dict[Recipe, Callable[[int, Score], list[Tasting]]] = {
    "uniform": taste_uniformly,
    "greedy": taste_greedily,
}
