"""How stable the order of the starts is, in words: ranks, first places in resampled seeds, who agrees."""

from collections.abc import Iterator

from pointlab.report.measures import by_measure, measure_words
from pointlab.report.wording import percent
from pointlab.storage import Record
from pointlab.study.comparison import Row

RankRow = tuple[tuple[str, ...], float, tuple[str, float | str], tuple[str, ...]]


def rank_rows(record: Record) -> list[RankRow]:
    """Measure, protocol, backbone, routes and start; the mean rank; how often it would come first; what the
    rows of its cells say."""
    return [
        (
            (*_place(measure, row), str(row["start"])),
            float(row["mean_rank"]),
            ("" if row["first_share"] == "" else percent(float(row["first_share"])), row["first_share"]),
            tuple(str(row[level]) for level in ("start", "backbone", "protocol")),
        )
        for measure, rows in by_measure(record, "ranking").items()
        for row in rows
    ]


def told_agreement(record: Record) -> Iterator[str]:
    """A sentence for each contest, and what it was repeated over."""
    for measure, rows in by_measure(record, "agreement").items():
        for row in rows:
            yield (
                f"{', '.join(_place(measure, row))}: {row['levels']:.0f} {row['over']} order the starts with"
                f" a Kendall tau of {row['tau']:.2f} in the mean of their pairs, {row['least']:.2f} at least."
            )


def _place(measure: str, row: Row) -> tuple[str, ...]:
    protocol = str(row["protocol"]).replace("-", " ")
    return measure_words(measure), protocol, str(row["backbone"]), str(row["routes"])
