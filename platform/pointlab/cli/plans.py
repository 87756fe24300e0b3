"""What a run would take, as tables on the terminal, and how much of it is there; and what a study found."""

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from pointlab.experiment import StudyExperiment
from pointlab.launch import Estimate, Needed, SearchPlan, foretold
from pointlab.launch.estimating import RULE
from pointlab.report.measures import by_measure, measure_words
from pointlab.report.study_finding import study_finding
from pointlab.report.study_tables import pooled_tables, route_tables
from pointlab.report.wording import duration
from pointlab.storage import Record, Storage
from pointlab.study import EARLIER_TRANSFER, PRETRAINING, Extent, foresee


def table_of_plan(study: StudyExperiment) -> Table:
    """Rows of starts and backbones; each cell says how many there are, and how many of them are finished."""
    storage = Storage(study.storage.root)
    planned = foresee(foretold(study, storage) or study, storage)
    has_earlier = any(EARLIER_TRANSFER in extents for extents in planned.values())
    kinds = (PRETRAINING, *([EARLIER_TRANSFER] if has_earlier else []), *study.protocols)
    table = Table("start", "backbone", *map(escape, kinds), title=f"{study.name}: experiments")
    for (start, backbone), extents in planned.items():
        table.add_row(escape(start), escape(backbone), *(_told(extents.get(kind)) for kind in kinds))
    table.add_section()
    all_of = {kind: [extents[kind] for extents in planned.values() if kind in extents] for kind in kinds}
    table.add_row("all", "", *(_told(_together(found)) for found in all_of.values()))
    return table


def table_of_estimate(estimates: Sequence[Estimate]) -> Table:
    """What is missing takes, by kind and backbone; what could not be timed is unknown, and in no sum."""
    table = Table("missing", "backbone", "runs", "device time", "FLOPs", title="estimate", caption=RULE)
    for each in estimates:
        table.add_row(escape(each.kind), escape(each.backbone), *_told_of_estimate(each))
    table.add_section()
    figures = [(each.missing, each.timed, each.seconds, each.flops) for each in estimates]
    if figures:
        sums = [sum(column) for column in zip(*figures, strict=True)]
        table.add_row("all", "", *_told_of_estimate(Estimate("", "", int(sums[0]), int(sums[1]), *sums[2:])))
    return table


def _told_of_estimate(each: Estimate) -> tuple[str, str, str]:
    """Runs, time and operations."""
    unknown = each.missing - each.timed
    if each.timed == 0:
        return str(each.missing), "unknown", "unknown"
    rest = f", {unknown} unknown" if unknown else ""
    return str(each.missing), duration(each.seconds) + rest, f"{each.flops:.2g}{rest}"


def table_of_forecast(storage: Storage, needed: Sequence[Needed]) -> Table:
    """Each set and run that an experiment needs, for which of its fields, and whether it is there."""
    table = Table("needed", "for", "state", title=escape(f"In {storage.address}"))
    for each in needed:
        table.add_row(*map(escape, (each.name, ", ".join(each.roles), each.state)))
    return table


def table_of_classes(foretold: Mapping[str, str]) -> Table:
    """What is right about each class of a shifted set."""
    table = Table("class of the shifted set", "right answers", title="shifted_classes")
    for name, right in foretold.items():
        table.add_row(escape(name), escape(right))
    return table


def table_of_trials(plan: SearchPlan) -> Table:
    """How many trials a search has, how many run at a time, and what came of those that are in its ledger."""
    table = Table("trials", "number", title="search")
    for name, number in {"all": plan.total, "at a time": plan.at_a_time, **plan.so_far}.items():
        table.add_row(escape(name), str(number))
    return table


def table_of_front(record: Record) -> Table:
    """The trials of a search's record that no other is better than in every respect, as it has them."""
    rows = [{name: each for name, each in row.items() if name != "run"} for row in record.curves["pareto"]]
    table = Table(*map(escape, rows[0]), title="the front of all objectives")
    for row in rows:
        told = (f"{each:.4g}" if isinstance(each, float) else str(each) for each in row.values())
        table.add_row(*map(escape, told))
    return table


def table_of_findings(record: Record) -> Table:
    """What each start gains over the baseline, or what it reaches where nothing can be compared."""
    return _table_of_differences(record) if record.curves["pooled"] else _table_of_figures(record)


def _table_of_figures(record: Record) -> Table:
    """Accuracies by route and number of labels, and below them why they are not compared."""
    tables = route_tables(record)
    columns = tuple(dict.fromkeys(column for found in tables for column in found.columns))
    told = escape(study_finding(record))
    table = Table("start", "backbone", "route", *map(escape, columns), title=record.name, caption=told)
    for found in tables:
        for start, backbone, cells in found.rows:
            values = {name: cell.value for name, cell in zip(found.columns, cells, strict=True) if cell}
            shown = (values.get(column, "") for column in columns)
            table.add_row(*map(escape, (start, backbone, found.title, *shown)))
    return table


def _table_of_differences(record: Record) -> Table:
    """In points of what is measured, a column for each protocol and, where there are several, measure."""
    measures = [measure_words(measure) for measure in by_measure(record, "pooled")]
    found = dict(zip(measures, pooled_tables(record), strict=True))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for measure, each in found.items():
        for start, backbone, cells in each.rows:
            heads = (f"{column}, {measure}" if len(found) > 1 else column for column in each.columns)
            told = (cell.difference if cell else "" for cell in cells)
            lines.setdefault((start, backbone), {}).update(zip(heads, told, strict=True))
    columns = dict.fromkeys(column for differences in lines.values() for column in differences)
    captions = list(dict.fromkeys(caption for each in found.values() for caption in each.captions))
    title = f"Differences to {record.notes['baseline']} over all routes, labels and seeds, points"
    heads_of = ("start", "backbone", *map(escape, columns))
    table = Table(*heads_of, title=title, caption=_mind(record, captions))
    for (start, backbone), differences in lines.items():
        table.add_row(*map(escape, (start, backbone, *(differences.get(each, "") for each in columns))))
    return table


def _mind(record: Record, captions: Sequence[str]) -> str:
    """What a reader must know before the figures are compared."""
    population = "intervals: over further pretrainings, for these routes, backbones and test clouds"
    code = f"code: {record.notes['code']}" if "code" in record.notes else ""
    return escape("\n".join(filter(None, [population, *captions, code])))


def _together(extents: list[Extent]) -> Extent:
    return Extent(sum(extent.total for extent in extents), sum(extent.finished for extent in extents))


def _told(extent: Extent | None) -> str:
    if extent is None or extent.total == 0:
        return ""
    if extent.finished == 0:
        return f"{extent.total} to do"
    of_all = "" if extent.finished == extent.total else f" of {extent.total}"
    return f"{extent.finished}{of_all} finished"
