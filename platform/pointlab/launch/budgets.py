"""The budget of a study in epochs, by prepared sets and by steps that were taken and kept.

What a step takes is kept with the study, in `studies/<name>/steps/`: a study that goes on, or gets another
row, has the figures and so the runs that it had, whatever machine it is on by then.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from pointlab.data.manifest import read_dataset
from pointlab.experiment import StudyExperiment
from pointlab.experiment.budgeting import Lineage, within_budget
from pointlab.provenance import code_version, environment
from pointlab.storage import Storage
from pointlab.training.step_cost import StepCost

Measure = Callable[[Lineage], StepCost]
"""Takes a step of the pretraining that a lineage ends with."""


def spread(
    study: StudyExperiment, datasets: Mapping[str, str], storage: Storage, measured: Measure
) -> StudyExperiment:
    """The study with the epochs that its budget comes to; without one, as it is."""
    budget = study.budget
    if budget is None:
        return study

    found: dict[str, float] = {}

    def epochs(lineage: Lineage) -> float:
        """Looked up once for each pretraining, however many cells start from it."""
        if (run := lineage[-1].run) not in found:
            found[run] = of_pretraining(lineage)
        return found[run]

    def of_pretraining(lineage: Lineage) -> float:
        pretraining = lineage[-1]
        num_rows = read_dataset(storage, pretraining.datasets["data"]).rows["train"]
        cost = _kept_or_measured(study, lineage, storage, measured) if budget.is_measured else None
        return budget.epochs(pretraining.experiment, num_rows, cost)

    return within_budget(study, datasets, epochs)


def _kept_or_measured(
    study: StudyExperiment, lineage: Lineage, storage: Storage, measured: Measure
) -> StepCost:
    """What the study has found before of equal pretrainings of whatever seed, else what is measured now."""
    path = f"studies/{study.name}/steps/{lineage[-1].run.split('-')[-2]}.json"
    if not storage.exists(path):
        cost = measured(lineage)
        made = {"pretraining": lineage[-1].experiment.name, "code": code_version(), **environment()}
        storage.write(path, json.dumps({**asdict(cost), "made": made}, indent=1).encode())
    kept = json.loads(storage.read(path))
    return StepCost(kept["flops"], kept["seconds"])
