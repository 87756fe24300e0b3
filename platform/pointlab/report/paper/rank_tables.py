"""How stable the order of a study's starts is, for a paper: their ranks, how far seeds and routes agree."""

from collections.abc import Iterator

from pointlab.report.measures import by_measure
from pointlab.report.paper.latex import Line, Number
from pointlab.report.paper.tables import MISSING, PaperTable, file_name, in_blocks, share
from pointlab.report.wording import measure_name
from pointlab.storage import Record
from pointlab.study.comparison import Row


def rank_tables(name: str, record: Record) -> Iterator[PaperTable]:
    """Two for each measure that has several starts at its places."""
    for measure, rows in by_measure(record, "ranking").items():
        yield _ranks(file_name(name, "ranks", measure), measure, rows)
    for measure, rows in by_measure(record, "agreement").items():
        yield _agreement(file_name(name, "agreement", measure), measure, rows)


def _ranks(name: str, measure: str, rows: list[Row]) -> PaperTable:
    lines: list[Line] = []
    for row in rows:
        contest = [each for each in rows if _contest(each) == _contest(row)]
        first = min(float(each["mean_rank"]) for each in contest)
        chance = MISSING if row["first_share"] == "" else share(float(row["first_share"]))
        rank = Number(f"{row['mean_rank']:.2f}", is_best=row["mean_rank"] == first and len(contest) > 1)
        lines.append((*_contest(row), str(row["start"]), rank, chance))
    caption = (
        f"Ranks of the starts by {measure_name(measure)} ({measure}) over all places, 1 being the best, and"
        " the share of bootstrap draws in which each comes first."
    )
    columns = ("Protocol", "Backbone", "Routes", "Start", "Mean rank", "First, %")
    return PaperTable(name, caption, columns, in_blocks(lines, 0), tuple(rows))


def _agreement(name: str, measure: str, rows: list[Row]) -> PaperTable:
    lines: list[Line] = [
        (
            *_contest(row),
            f"{row['levels']:.0f} {row['over']}",
            Number(f"{row['tau']:.2f}"),
            Number(f"{row['least']:.2f}"),
        )
        for row in rows
    ]
    caption = (
        f"Kendall's tau between the orders of the starts by {measure_name(measure)} ({measure}) that two"
        " seeds, or two routes, result in: the mean over all pairs, and the least."
    )
    columns = ("Protocol", "Backbone", "Routes", "Between", "Mean tau", "Least")
    return PaperTable(name, caption, columns, in_blocks(lines, 0), tuple(rows))


def _contest(row: Row) -> tuple[str, str, str]:
    """Where starts compete."""
    return str(row["protocol"]).replace("-", " "), str(row["backbone"]), str(row["routes"])
