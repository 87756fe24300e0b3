"""A budget becomes epochs: a study's pretrainings, each as long as what is equal for all allows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from pointlab.experiment.budget import OF_LENGTH
from pointlab.experiment.cells import Adjustment, Cell
from pointlab.experiment.chains import chain_of
from pointlab.experiment.matrix import Levels
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.experiment.study_runs import make_cell_definite

Lineage = list[Resolved[Any]]
"""A pretraining, last, after all that it learns from; sets and parents are given by name."""
Epochs = Callable[[Lineage], float]
"""How long the pretraining of a lineage is to be."""


def within_budget(study: StudyExperiment, datasets: Mapping[str, str], epochs: Epochs) -> StudyExperiment:
    """The study, where adjustments say the epochs of each pretraining that its budget is for.

    So its runs are named, kept and printed with the epochs that they have. An adjustment that says epochs is
    left as it is: it was found before, or is an exception that somebody wrote.
    """
    found: dict[tuple[str, str, str], dict[Levels, float]] = {}
    for cell in study.cells:
        levels, lineage = beginning(study, cell), lineage_of_pretraining(cell, datasets)
        if lineage and not _is_said(study, levels):
            place = levels.start, levels.backbone, levels.route
            found.setdefault(place, {})[levels] = epochs(lineage)
    added = [each for at_place in found.values() for each in _adjustments(at_place)]
    settings = {name: getattr(study, name) for name in study.model_fields_set}
    return StudyExperiment(**settings | {"adjustments": (*study.adjustments, *added)})


def beginning(study: StudyExperiment, cell: Cell) -> Levels:
    """The cell's levels, where its start is the one that its chain of transfers begins with."""
    return replace(cell.levels, start=list(chain_of(cell.levels.start, study.starts))[-1])


def lineage_of_pretraining(cell: Cell, datasets: Mapping[str, str]) -> Lineage:
    """What its chain of transfers begins with, and what that learns from; nothing for random weights."""
    lineage = make_cell_definite(cell, datasets)
    are_pretrainings = [isinstance(each.experiment, PretrainExperiment) for each in lineage]
    last = max((place for place, is_one in enumerate(are_pretrainings) if is_one), default=-1)
    return lineage[: last + 1]


def _is_said(study: StudyExperiment, levels: Levels) -> bool:
    """Whether an adjustment says how long the pretraining of these levels is."""
    said = (each.pretraining.get("training", {}) for each in study.adjustments if levels.are_in(each.where))
    return any(name in training for training in said for name in OF_LENGTH)


def _adjustments(found: Mapping[Levels, float]) -> Iterator[Adjustment]:
    """One for all cells of a start, backbone and route, where their pretrainings are equally long."""
    if len(set(found.values())) == 1:
        levels, epochs = next(iter(found.items()))
        named = {"start": levels.start, "backbone": levels.backbone, "route": levels.route}
        yield _adjustment(named, epochs)
        return
    for levels, epochs in found.items():
        yield _adjustment(asdict(levels), epochs)


def _adjustment(where: Mapping[str, Any], epochs: float) -> Adjustment:
    return Adjustment(where=dict(where), pretraining={"training": {"epochs": epochs}})
