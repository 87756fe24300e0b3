"""The analysis that comes beside the laptop study looks into runs that the study has made."""

from collections.abc import Mapping
from pathlib import Path

from pointlab.data.dataset import DatasetConfig
from pointlab.experiment import AnalyseExperiment, StudyExperiment, load
from pointlab.experiment.study_runs import make_cell_definite
from pointlab.launch.lineage import roles_by_run

CONFIGS = Path(__file__).parents[2] / "configs"


def recipes(datasets: Mapping[str, DatasetConfig]) -> dict[str, str]:
    """Sets by what they are made of, as one that is not prepared has no name yet."""
    return {role: config.recipe() for role, config in datasets.items()}


def test_the_laptop_analysis_needs_no_run_that_the_laptop_study_has_not_made() -> None:
    study, analysis = (load(CONFIGS / kind / "laptop.yaml") for kind in ("study", "analyse"))
    assert isinstance(study, StudyExperiment)
    assert isinstance(analysis, AnalyseExperiment)
    sets = recipes(study.datasets)
    made = {each.run for cell in study.cells for each in make_cell_definite(cell, sets)}
    needed = roles_by_run(analysis, recipes(analysis.datasets))
    assert {role for roles in needed.values() for role in roles} >= analysis.subjects.keys()
    assert needed.keys() <= made
