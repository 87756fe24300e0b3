"""The runs of a study: those of its cells and of all that they start from, and its own, made of them."""

import json
from collections.abc import Mapping
from typing import Any

from pointlab.experiment.cells import Cell
from pointlab.experiment.lineage import make_lineage_definite
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.seeding import stable_hash


def make_cell_definite(cell: Cell, datasets: Mapping[str, str]) -> list[Resolved[Any]]:
    """The cell's run, last, after those of all that it starts from, given the study's prepared sets."""
    own = {role: datasets[cell.place_of(role)] for role in cell.experiment.datasets}
    return make_lineage_definite(cell.experiment, own)


def make_study_definite(study: StudyExperiment, datasets: dict[str, str]) -> Resolved[StudyExperiment]:
    """The study's own run, `<name>-<hash>`: a study is the runs that it is made of, and what it compares."""
    runs = sorted(make_cell_definite(cell, datasets)[-1].run for cell in study.cells)
    digest = stable_hash(json.dumps([runs, study.baseline, *study.measures]), digits=10)
    return Resolved(study, f"{study.name}-{digest}", datasets)
