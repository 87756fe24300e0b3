"""A study as tables on the terminal: what it would do, of which how much is finished; and what it found."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from pointlab.experiment import StudyExperiment
from pointlab.report.study import pooled_table
from pointlab.storage import Record, Storage
from pointlab.study import Extent, foresee

PRETRAINING = "pretraining"


def table_of_plan(study: StudyExperiment) -> Table:
    """Rows of starts and backbones; each cell says how many there are, and how many of them are finished."""
    planned = foresee(study, Storage(study.storage.root))
    kinds = (PRETRAINING, *study.protocols)
    table = Table("start", "backbone", *map(escape, kinds), title=f"{study.name}: experiments")
    for (start, backbone), extents in planned.items():
        table.add_row(escape(start), escape(backbone), *(_told(extents.get(kind)) for kind in kinds))
    table.add_section()
    all_of = {kind: [extents[kind] for extents in planned.values() if kind in extents] for kind in kinds}
    table.add_row("all", "", *(_told(_together(found)) for found in all_of.values()))
    return table


def table_of_differences(record: Record) -> Table:
    """What each start gains over the baseline, in points of accuracy."""
    found = pooled_table(record)
    table = Table(
        "start",
        "backbone",
        *map(escape, found.columns),
        title=f"{found.title}, points",
        caption=_mind(record, found.captions),
    )
    for start, backbone, cells in found.rows:
        table.add_row(
            escape(start), escape(backbone), *(escape(cell.difference) if cell else "" for cell in cells)
        )
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
