"""Tables of a page that are not a study's own: corruptions, few-shot settings, every metric of a run."""

from collections.abc import Iterator
from statistics import fmean

from pointlab.report.collect import Material
from pointlab.report.corruptions import CorruptionComparison, corruption_comparisons
from pointlab.report.few_shot import FewShotRow, FewShotSection, few_shot_sections
from pointlab.report.paper.latex import Cell, Line, Number
from pointlab.report.paper.tables import MISSING, PaperTable, best_of, file_name, share
from pointlab.report.results import Group, ResultTable, result_tables
from pointlab.report.wording import is_share
from pointlab.study.comparison import Row
from pointlab.study.statistics import summarise


def run_tables(material: Material) -> Iterator[PaperTable]:
    """Those that the page's records and the cells of its studies have figures for."""
    for number, compared in enumerate(corruption_comparisons(material)):
        yield _corruptions(number, compared)
    for number, section in enumerate(few_shot_sections(material)):
        yield _few_shot(number, section)
    for number, table in enumerate(result_tables(material)):
        yield _results(number, table)


def _corruptions(number: int, compared: CorruptionComparison) -> PaperTable:
    """Classifiers by corruptions, as papers print them."""
    names = dict.fromkeys(str(row["corruption"]) for row in compared.numbers)
    found = {(str(row["classifier"]), str(row["corruption"])): row for row in compared.numbers}
    best = {
        name: best_of(row["mean"] for (_, other), row in found.items() if other == name) for name in names
    }
    lines: list[Line] = []
    for classifier in compared.columns:
        here = {name: found.get((classifier, name)) for name in names}
        cells: list[Cell] = [
            MISSING
            if row is None
            else share(float(row["mean"]), row["deviation"], is_best=row["mean"] in best[name])
            for name, row in here.items()
        ]
        lines.append((classifier, *cells))
    caption = (
        f"{compared.title}{': ' if compared.title else ''}accuracy in per cent under each corruption, the"
        " mean over its severities ± sample standard deviation over seeds, on the same corrupted clouds."
    )
    columns = ("Classifier", *(name.replace("_", " ") for name in names))
    name = file_name(f"corruptions-{number}")
    return PaperTable(name, caption, columns, (tuple(lines),), compared.numbers)


def _few_shot(number: int, section: FewShotSection) -> PaperTable:
    """A block for each setting, whose best start is bold."""
    numbers = [_few_shot_numbers(row) for row in section.rows]
    blocks = []
    for task in dict.fromkeys((row["setting"], row["head"], row["split"]) for row in numbers):
        rows = [row for row in numbers if (row["setting"], row["head"], row["split"]) == task]
        best = best_of(row["mean"] for row in rows)
        blocks.append(tuple(_few_shot_line(row, best) for row in rows))
    caption = (
        f"{section.title}{': ' if section.title else ''}few-shot accuracy in per cent, mean ± standard"
        " deviation over folds, and the deviation of these means over seeds."
    )
    columns = ("Setting", "Head", "Start", "Accuracy", "Over seeds")
    return PaperTable(file_name(f"few-shot-{number}"), caption, columns, tuple(blocks), tuple(numbers))


def _few_shot_numbers(row: FewShotRow) -> Row:
    found = summarise(row.group.values(row.measure))
    return {
        "setting": row.setting,
        "head": row.head,
        "split": row.split,
        "name": row.name,
        "mean": found.mean,
        "deviation_over_folds": fmean(row.group.values(f"{row.measure}_std")),
        "deviation_over_seeds": "" if found.deviation is None else found.deviation,
        "seeds": float(found.count),
    }


def _few_shot_line(row: Row, best: frozenset[float]) -> Line:
    accuracy = share(float(row["mean"]), row["deviation_over_folds"], is_best=row["mean"] in best)
    spread = row["deviation_over_seeds"]
    return (
        str(row["setting"]),
        str(row["head"]),
        str(row["name"]),
        accuracy,
        MISSING if spread == "" else share(float(spread)),
    )


def _results(number: int, table: ResultTable) -> PaperTable:
    group = table.group
    lines: tuple[Line, ...] = tuple(
        (row.split, row.measure, _figure(group, row.metric)) for row in table.rows
    )
    caption = (
        f"{group.name}, {group.protocol}: means ± sample standard deviation over seeds, shares in per cent."
    )
    numbers = tuple(_summary(group, row.metric) for row in table.rows)
    columns = ("Split", "Measure", "Value")
    return PaperTable(file_name(f"results-{number}", group.name), caption, columns, (lines,), numbers)


def _summary(group: Group, metric: str) -> Row:
    found = summarise(group.values(metric))
    deviation: float | str = "" if found.deviation is None else found.deviation
    runs = ", ".join(record.run for record in group.records)
    return {
        "metric": metric,
        "mean": found.mean,
        "deviation": deviation,
        "seeds": float(found.count),
        "runs": runs,
    }


def _figure(group: Group, metric: str) -> Number:
    found = summarise(group.values(metric))
    if is_share(metric):
        return share(found.mean, found.deviation)
    return Number(f"{found.mean:.4g}", "" if found.deviation is None else rf"\pm {found.deviation:.2g}")
