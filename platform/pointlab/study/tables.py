"""What a study has found, whole or so far: every cell, what the starts gain, what was spent."""

from collections.abc import Iterable, Mapping

from pointlab.errors import ConfigError
from pointlab.experiment.cells import Cell
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import FINE_TUNED, Findings
from pointlab.experiment.study import StudyExperiment
from pointlab.experiment.transfer import TransferExperiment
from pointlab.provenance import code_version
from pointlab.storage import Record
from pointlab.study.comparison import Measured, Row, comparison, group_of, place_of, pooled
from pointlab.study.planning import Plan
from pointlab.study.words import words_of_cells


def findings_of_cells(
    study: StudyExperiment, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str]
) -> Findings:
    """All tables, and the sums of what was spent; of cells that are not finished, what is known.

    Pooled are the places alone at which all starts of the study are finished: a start must not look good for
    having come to the easy places first.
    """
    measured = {
        run: _measured(run, plan, study.measure, records[run]) for run in plan.cells if run in records
    }
    open_places = {place_of(cell.levels) for run, cell in plan.cells.items() if run not in measured}
    whole = [cell for cell in measured.values() if place_of(cell.levels) not in open_places]
    metrics = _accuracies(records[run] for run in measured)
    spent = [records[run] for run in plan.steps if run in records]
    failed = sum(run in errors for run in plan.cells)
    return Findings(
        metrics={"study/cells": float(len(plan.cells)), "study/finished": float(len(measured))},
        curves={
            "cells": [_cell_row(run, plan, records, errors, metrics) for run in plan.cells],
            "comparison": list(comparison(measured.values(), study.baseline)),
            "pooled": list(pooled(whole, study.baseline)),
            "words": words_of_cells((plan.cells[run].levels, records[run]) for run in measured),
        },
        notes={
            "cells": f"{len(measured)} of {len(plan.cells)} finished, {failed} failed",
            "measure": study.measure,
            "baseline": study.baseline,
            "interval": "95 %, Student's: over seeds; pooled, over pretrained backbones within each route"
            " and backbone",
            **_legacy_note(plan.cells[run] for run in measured),
            **_code_note(spent),
        },
        samples_seen=sum(record.samples_seen for record in spent),
        device_seconds=sum(record.device_seconds for record in spent),
    )


def _measured(run: str, plan: Plan, measure: str, record: Record) -> Measured:
    if measure not in record.metrics:
        raise ConfigError(
            f"The study compares {measure}, which the finished cell {run} lacks.",
            expected=f"one of {', '.join(_accuracies([record]))}",
            remedy="set measure to one of these; finished cells are kept",
        )
    cell = plan.cells[run]
    return Measured(cell.levels, record.metrics[measure], _pretraining(run, plan), cell.experiment.is_legacy)


def _legacy_note(cells: Iterable[Cell]) -> dict[str, str]:
    """Which protocols of the study have habits of released code, and what their best of seeds is."""
    names = dict.fromkeys(cell.levels.protocol for cell in cells if cell.experiment.is_legacy)
    if not names:
        return {}
    return {
        "legacy": f"{', '.join(names)}: with habits of released code, for comparison with papers only; each"
        " record says which. The best of the seeds is chosen by the measure itself, and no estimate of what a"
        " further seed would give"
    }


def _code_note(records: Iterable[Record]) -> dict[str, str]:
    """Which versions of the code made the runs, where it was not one, this one."""
    versions = sorted({code_version(), *(record.code_version for record in records)})
    return {"code": f"{len(versions)} versions: {', '.join(versions)}"} if len(versions) > 1 else {}


def _accuracies(records: Iterable[Record]) -> list[str]:
    """Every accuracy on a split that some cell has, a suite's mean, every mean intersection over union."""
    told = ("/accuracy", "/voted_accuracy", "/mOA", "miou")
    names = {name for record in records for name in record.metrics if name.endswith(told)}
    return sorted(name for name in names if name.count("/") == 1)


def _pretraining(run: str, plan: Plan) -> str:
    """The run of the cell's pretraining, "" where it has none."""
    return plan.steps[run].resolved.parents.get("pretrained", "")


def _cell_row(
    run: str, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str], metrics: list[str]
) -> Row:
    record, parent = records.get(run), _pretraining(run, plan)
    fine_tuning = plan.steps[run].resolved.parents.get(FINE_TUNED, "")
    return {
        **_place(plan.cells[run]),
        **{name: "" if record is None else record.metrics.get(name, "") for name in metrics},
        "outcome": "finished" if record else "failed" if run in errors else "not run",
        "error": errors.get(run, ""),
        "run": run,
        **_cost(record, ""),
        "fine_tuning": fine_tuning,
        **_cost(records.get(fine_tuning), "fine_tuning_"),
        "pretraining": parent,
        **_cost(records.get(parent), "pretraining_"),
        **_work(plan.cells[run], records.get(parent)),
    }


def _place(cell: Cell) -> Row:
    start, backbone, route, protocol, labels = group_of(cell.levels)
    return {
        "start": start,
        "backbone": backbone,
        "route": route,
        "protocol": protocol,
        "samples_per_class": labels,
        "seed": float(cell.levels.seed),
    }


def _cost(record: Record | None, prefix: str) -> Row:
    return {
        f"{prefix}samples": "" if record is None else float(record.samples_seen),
        f"{prefix}seconds": "" if record is None else record.device_seconds,
    }


def _work(cell: Cell, record: Record | None) -> Row:
    """Clouds that a pretraining encoded, each view by itself, and the optimiser's steps; of a transfer to
    start from, the clouds that it was shown. Without those of what these start from."""
    match cell.experiment.pretrained, record:
        case PretrainExperiment() as start, Record():
            views, steps = start.paradigm.num_views, record.samples_seen / start.training.batch_size
        case TransferExperiment() as start, Record():
            trains = start.has_epochs and not start.averages
            views, steps = 1, record.samples_seen / start.training.batch_size if trains else 0.0
        case _:
            return {"pretraining_clouds": "", "pretraining_steps": ""}
    return {"pretraining_clouds": float(record.samples_seen * views), "pretraining_steps": steps}
