"""What a step of an experiment's training takes, measured before any of it is carried out.

Nothing is stored: the training that is measured has no checkpoint, and its weights are thrown away.
"""

from dataclasses import replace
from typing import Any

from pointlab.experiment import pretraining, teaching
from pointlab.experiment.fine_tuning import with_new_head
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.segmenting import with_new_point_head
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask, open_roles
from pointlab.storage import Storage
from pointlab.training import LocalContext, Trainer
from pointlab.training.step_cost import MOST_SECONDS, StepCost, measure_step


def measure(resolved: Resolved[Any], storage: Storage, seconds: float = MOST_SECONDS) -> StepCost:
    """The cost of a step in this process; parents and sets of a pretraining or a teacher must be there.

    A transfer needs its sets alone: what a step takes does not depend on where weights are from, and of a
    transfer that does not train it is what fine-tuning would take.
    """
    return measure_step(_trainer(replace(resolved, run=f"{resolved.run}-measured"), storage), seconds)


def _trainer(resolved: Resolved[Any], storage: Storage) -> Trainer:
    """What trains it, in a folder where nothing is."""
    context = LocalContext(storage)
    match resolved.experiment:
        case PretrainExperiment():
            return pretraining.put_together(resolved, context).trainer
        case TeacherExperiment():
            return teaching.put_together(resolved, context)[1]
        case TransferExperiment():
            task = TransferTask(replace(resolved, parents={}), context, open_roles(resolved, storage))
            is_of_points = resolved.experiment.segments
            return (with_new_point_head(task, task.start()) if is_of_points else with_new_head(task))[0]
    raise AssertionError(f"{resolved.experiment.kind} has no steps")
