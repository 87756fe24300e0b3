"""The runs of a study: those of its cells and of their pretrainings, and its own, which is made of them."""

import json
from collections.abc import Mapping

from pointlab.experiment.cells import Cell
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved, make_definite
from pointlab.experiment.study import StudyExperiment
from pointlab.experiment.transfer import TransferExperiment
from pointlab.seeding import stable_hash


def make_cell_definite(cell: Cell, datasets: Mapping[str, str]) -> Resolved[TransferExperiment]:
    """The cell's run, given the study's prepared sets; its parent, if it has one, is a run known as well."""
    own = {role: datasets[f"{cell.levels.route}/{role}"] for role in cell.experiment.datasets}
    parent = make_parent_definite(cell, datasets)
    return make_definite(cell.experiment, own, {} if parent is None else {"pretrained": parent.run})


def make_parent_definite(cell: Cell, datasets: Mapping[str, str]) -> Resolved[PretrainExperiment] | None:
    """The run of the cell's pretraining; None where it has none."""
    pretrained = cell.experiment.pretrained
    if pretrained is None:
        return None
    return make_definite(pretrained, {"data": datasets[f"{cell.levels.route}/pretrained"]}, {})


def make_study_definite(study: StudyExperiment, datasets: dict[str, str]) -> Resolved[StudyExperiment]:
    """The study's own run, `<name>-<hash>`: a study is the runs that it is made of, and what it compares."""
    runs = sorted(make_cell_definite(cell, datasets).run for cell in study.cells)
    digest = stable_hash(json.dumps([runs, study.baseline, study.measure]), digits=10)
    return Resolved(study, f"{study.name}-{digest}", datasets)
