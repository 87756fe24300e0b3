"""What the cells of a study took, and all that they rest on: samples, clouds, steps, operations, device time.

A transfer tells its own; its fine-tuning and its pretraining stand beside it. What the pretraining itself
rests on (teachers, a stage I, in a chain the transfers and the pretraining before) is the cost of teachers:
it is summed for each cell, and each run of it is told once by itself, as others share it. In a table ""
stands for what is not known yet, or was not counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import FINE_TUNED
from pointlab.experiment.transfer import TransferExperiment
from pointlab.storage import Record
from pointlab.study.comparison import Row
from pointlab.study.planning import Plan

Records = Mapping[str, Record]
WORK = ("samples", "clouds", "steps", "flops", "seconds")
OF_TEACHERS = ("samples", "flops", "seconds")
PRETRAINED = "pretrained"
"""The role of what a transfer starts from."""


def costs_of_cell(run: str, plan: Plan, records: Records) -> Row:
    """What the transfer took, its fine-tuning, its pretraining, and the teachers of this."""
    fine_tuning, parent = (
        plan.steps[run].resolved.parents.get(role, "") for role in (FINE_TUNED, PRETRAINED)
    )
    return {
        **_prefixed("", run, WORK, plan, records),
        "fine_tuning": fine_tuning,
        **_prefixed("fine_tuning_", fine_tuning, OF_TEACHERS, plan, records),
        "pretraining": parent,
        **_prefixed("pretraining_", parent, WORK, plan, records),
        **_of_teachers(parent, plan, records),
    }


def work_of(experiment: Any, record: Record | None) -> Row:
    """Samples, clouds that were encoded (each view of a sample by itself), the optimiser's steps, operations
    and device time of a finished run; the pass of LP-FT's probe is among its samples, and so its steps."""
    if record is None:
        return dict.fromkeys(WORK, "")
    samples = float(record.samples_seen)
    return {
        "samples": samples,
        "clouds": samples
        * (experiment.paradigm.num_views if isinstance(experiment, PretrainExperiment) else 1),
        "steps": samples / experiment.training.batch_size if _trains(experiment) else 0.0,
        "flops": record.flops or ("" if samples else 0.0),
        "seconds": record.device_seconds,
    }


def _trains(experiment: Any) -> bool:
    """Whether its samples were those of an optimiser's steps."""
    if isinstance(experiment, TransferExperiment):
        return experiment.has_epochs and not experiment.averages
    return not isinstance(experiment, ImportExperiment)


def costs(plan: Plan, records: Records) -> Iterator[Row]:
    """A row for each start, backbone and route: the mean of its finished pretrainings, and of their teachers.

    Random weights took nothing.
    """
    groups: dict[tuple[str, str, str], dict[str, None]] = {}
    for run, cell in plan.cells.items():
        parent = plan.steps[run].resolved.parents.get(PRETRAINED, "")
        place = cell.levels.start, cell.levels.backbone, cell.levels.route
        groups.setdefault(place, {})[parent] = None
    for (start, backbone, route), parents in groups.items():
        found = [
            _work(run, plan, records) | _of_teachers(run, plan, records)
            for run in parents
            if run in records or not run
        ]
        columns = (*WORK, *(f"teacher_{name}" for name in OF_TEACHERS))
        yield {
            "start": start,
            "backbone": backbone,
            "route": route,
            "pretrainings": float(sum(run in records for run in parents)),
            "teachers": ", ".join(dict.fromkeys(each for run in parents for each in _teachers(run, plan))),
            **{name: _mean(row[name] for row in found) for name in columns},
        }


def ancestors(plan: Plan, records: Records, errors: Mapping[str, str]) -> Iterator[Row]:
    """A row for each run that is no cell, told once: what it took, and the starts that rest on it."""
    starts: dict[str, dict[str, None]] = {}
    for run, cell in plan.cells.items():
        for each in plan.ancestors(run):
            starts.setdefault(each, {})[cell.levels.start] = None
    for run, step in plan.steps.items():
        if run not in plan.cells:
            experiment, record = step.resolved.experiment, records.get(run)
            yield {
                "run": run,
                "kind": experiment.kind,
                "name": experiment.name,
                "starts": ", ".join(starts.get(run, ())),
                **work_of(experiment, record),
                "outcome": "finished" if record else "failed" if run in errors else "not run",
            }


def _work(run: str, plan: Plan, records: Records) -> Row:
    """Of a run that a cell starts from; nothing at all where it starts from random weights."""
    if not run:
        return dict.fromkeys(WORK, 0.0)
    return work_of(plan.steps[run].resolved.experiment, records.get(run))


def _teachers(run: str, plan: Plan) -> list[str]:
    """What a pretraining rests on, each run once."""
    return list(dict.fromkeys(plan.ancestors(run))) if run else []


def _of_teachers(run: str, plan: Plan, records: Records) -> Row:
    teachers = _teachers(run, plan)
    works = [_work(each, plan, records) for each in teachers]
    return {
        "teachers": ", ".join(teachers),
        **{f"teacher_{name}": _sum([work[name] for work in works]) for name in OF_TEACHERS},
    }


def _prefixed(prefix: str, run: str, names: Iterable[str], plan: Plan, records: Records) -> Row:
    work = _work(run, plan, records) if run else dict.fromkeys(names, "")
    return {f"{prefix}{name}": work[name] for name in names}


def _sum(values: list[float | str]) -> float | str:
    """Not known where one of them is not."""
    return "" if "" in values else float(sum(map(float, values)))


def _mean(values: Iterable[float | str]) -> float | str:
    known = list(values)
    return "" if not known or "" in known else fmean(map(float, known))
