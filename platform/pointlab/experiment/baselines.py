"""What every study is held against: random weights, fine-tuned where starts are, and frozen where they are.

A gain over another start alone may be that start's failure; how much a backbone gives without any training
says what a probe of it means.
"""

from collections.abc import Sequence

from pointlab.experiment.cells import Cell
from pointlab.experiment.tasks import Protocol

WITHOUT_TRAINING: frozenset[Protocol] = frozenset(
    {"full", "linear_probe", "mlp_probe", "knn", "linear_svm", "few_shot"}
)
"""Protocols that random weights can have; the others ask texts, or keep what a pretraining gave."""
Place = tuple[str, str, str, str, int]


def require_random_weights(cells: Sequence[Cell]) -> None:
    """ValueError for cells under such a protocol with none from random weights at their place."""
    compared: dict[Place, Cell] = {}
    found: set[Place] = set()
    for cell in cells:
        levels = cell.levels
        place = levels.backbone, levels.route, levels.protocol, levels.labels, levels.seed
        if cell.experiment.pretrained is None:
            found.add(place)
        elif cell.experiment.protocol in WITHOUT_TRAINING:
            compared.setdefault(place, cell)
    for place, cell in compared.items():
        if place not in found:
            raise ValueError(
                f"nothing says what random weights reach where {cell.levels.name} with seed"
                f" {cell.levels.seed} is: expected a start that is null, such as scratch: null, at every"
                " place where others are fine-tuned or probed; add it to starts, or to only, or take it out"
                " of exclude"
            )
