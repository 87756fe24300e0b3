"""What a study has found, whole or so far: every cell, what the starts gain, what was spent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pointlab.errors import ConfigError
from pointlab.experiment.cells import Cell
from pointlab.experiment.resolve import Findings
from pointlab.experiment.study import StudyExperiment
from pointlab.provenance import code_version
from pointlab.storage import Record
from pointlab.study.bootstrap import BOOTSTRAP_NOTE
from pointlab.study.comparison import (
    TOGETHER,
    Measured,
    Row,
    comparison,
    group_of,
    place_of,
    pooled,
    repeated,
)
from pointlab.study.costs import PRETRAINED, ancestors, costs, costs_of_cell
from pointlab.study.planning import Plan
from pointlab.study.ranking import agreement, ranking
from pointlab.study.words import words_of_cells
from pointlab.training.flops import COUNTED


def findings_of_cells(
    study: StudyExperiment, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str]
) -> Findings:
    """All tables, and the sums of what was spent; of cells that are not finished, what is known.

    Pooled and ranked are the places alone at which all starts of the study are finished: a start must not
    look good for having come to the easy places first.
    """
    finished = [run for run in plan.cells if run in records]
    open_places = {place_of(cell.levels) for run, cell in plan.cells.items() if run not in records}
    measured = [each for run in finished for each in _measured(run, plan, study.measures, records[run])]
    whole = [each for each in measured if place_of(each.levels) not in open_places]
    metrics = _accuracies(records[run] for run in finished)
    spent = [records[run] for run in plan.steps if run in records]
    return Findings(
        metrics={"study/cells": float(len(plan.cells)), "study/finished": float(len(finished))},
        curves={
            "cells": [_cell_row(run, plan, records, errors, metrics) for run in plan.cells],
            "comparison": list(comparison(measured, study.baseline)),
            "pooled": list(pooled(whole, study.baseline)),
            "ranking": list(ranking(whole)),
            "agreement": list(agreement(whole)),
            "costs": list(costs(plan, records)),
            "ancestors": list(ancestors(plan, records, errors)),
            "words": words_of_cells((plan.cells[run].levels, records[run]) for run in finished),
        },
        notes=_notes(study, plan, records, errors),
        samples_seen=sum(record.samples_seen for record in spent),
        device_seconds=sum(record.device_seconds for record in spent),
        flops=sum(record.flops for record in spent),
    )


def _measured(run: str, plan: Plan, measures: Sequence[str], record: Record) -> Iterator[Measured]:
    """Those of the measures that the finished cell has; ConfigError where it has none."""
    found = [name for name in measures if name in record.metrics]
    if not found:
        raise ConfigError(
            f"The study compares {', '.join(measures)}, which the finished cell {run} lacks.",
            expected=f"one of {', '.join(_accuracies([record]))}",
            remedy="set measure or further_measures to one of these; finished cells are kept",
        )
    cell, parent = plan.cells[run], plan.steps[run].resolved.parents.get(PRETRAINED, "")
    for name in found:
        yield Measured(cell.levels, name, record.metrics[name], parent, cell.experiment.is_legacy)


def _notes(
    study: StudyExperiment, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str]
) -> dict[str, str]:
    """What a reader of the tables should know."""
    finished = [cell for run, cell in plan.cells.items() if run in records]
    failed = sum(run in errors for run in plan.cells)
    return {
        "cells": f"{len(finished)} of {len(plan.cells)} finished, {failed} failed",
        "measure": study.measure,
        "baseline": study.baseline,
        "interval": "95 %, Student's: over seeds; pooled, over pretrained backbones within each route"
        " and backbone",
        "bootstrap": BOOTSTRAP_NOTE,
        "flops": COUNTED,
        **_backbones_note(finished),
        **_budget_note(study),
        **_legacy_note(finished),
        **_code_note(records[run] for run in plan.steps if run in records),
    }


def _backbones_note(cells: Sequence[Cell]) -> dict[str, str]:
    """Which backbones are all of them, where some were trained with one seed."""
    backbones = dict.fromkeys(cell.levels.backbone for cell in cells)
    several = repeated(cell.levels for cell in cells)
    alone = [name for name in backbones if name not in several]
    if not alone:
        return {}
    told = f"over those with several seeds, {', '.join(several)}; of one seed, which tells no interval,"
    return {TOGETHER: f"{told} {'is' if len(alone) == 1 else 'are'} {', '.join(alone)}"}


def _budget_note(study: StudyExperiment) -> dict[str, str]:
    """What all pretrainings had equally much of, where a study says so."""
    if study.budget is None:
        return {}
    told = study.budget.quantity.replace("_", " ")
    return {
        "budget": f"{study.budget.amount:,g} {told} for each pretraining, in whole steps; what it learns from"
        " comes on top"
    }


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


def _cell_row(
    run: str, plan: Plan, records: Mapping[str, Record], errors: Mapping[str, str], metrics: list[str]
) -> Row:
    record = records.get(run)
    return {
        **_place(plan.cells[run]),
        **{name: "" if record is None else record.metrics.get(name, "") for name in metrics},
        "outcome": "finished" if record else "failed" if run in errors else "not run",
        "error": errors.get(run, ""),
        "run": run,
        **costs_of_cell(run, plan, records),
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
