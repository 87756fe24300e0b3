"""What a retrieval found, in a sentence and in key figures: recalls beside those of a random order."""

from collections.abc import Iterator

from pointlab.report.results import Group, summary, wilson_interval
from pointlab.report.wording import percent
from pointlab.storage import Record

KINDS = {
    "text_to_shape": ("text", "a shape that it describes"),
    "image_to_shape": ("picture", "the shape that it shows"),
    "image_to_class": ("picture", "a shape of its class"),
}
"""Kinds of queries, in the order of a page: what is asked by, and what counts as right."""
HEADLINE = "recall_at_5"
COLLAPSED = "collapsed"
"""The note of a retrieval whose shapes hardly differ."""


def measured(record: Record) -> list[str]:
    """The kinds of queries that the record has figures of."""
    return [kind for kind in KINDS if value_of(record, kind, "queries") is not None]


def value_of(record: Record, kind: str, measure: str) -> float | None:
    """The measure of queries of this kind, None where there is none."""
    return record.metrics.get(f"{_split_of(record)}/{kind}/{measure}")


def known(record: Record, kind: str, measure: str) -> float:
    """The same, where it is known to be there."""
    value = value_of(record, kind, measure)
    assert value is not None, "every kind that was measured has all measures"
    return value


def retrieval_finding(group: Group) -> str:
    """How many queries of each kind find a right shape among the first five; over seeds, the mean."""
    first = group.records[0]
    kinds = measured(first)
    shapes, split = known(first, kinds[0], "shapes"), _split_of(first)
    shares = ", ".join(_share(group, kind) for kind in kinds)
    seeds = len(group.records)
    over = f" (mean and deviation over {seeds} seeds)" if seeds > 1 else ""
    told = dict.fromkeys(record.notes[COLLAPSED] for record in group.records if COLLAPSED in record.notes)
    alike = f" Perhaps collapsed: {'; '.join(told)}." if told else ""
    return f"among {shapes:,.0f} {split} shapes the first five found hold {shares}{over}.{alike}"


def _share(group: Group, kind: str) -> str:
    by, right = KINDS[kind]
    queries = known(group.records[0], kind, "queries")
    return f"{right} for {_reached(group, kind)} of {queries:,.0f} {by}s ({_chance(group, kind)} by chance)"


def key_figures(group: Group) -> Iterator[tuple[str, str, str]]:
    """Label, value and note of the figure on each kind of query."""
    for kind in measured(group.records[0]):
        by, right = KINDS[kind]
        note = f"{_chance(group, kind)} by chance"
        if len(group.records) == 1:
            low, high = bounds(group.records[0], kind, HEADLINE)
            note += f"; 95 % interval {percent(low)} to {percent(high)}"
        else:
            note += f"; mean and deviation over {len(group.records)} seeds"
        yield f"{right} among five, by {by}", _reached(group, kind), note


def _reached(group: Group, kind: str) -> str:
    return summary(group, f"{_split_of(group.records[0])}/{kind}/{HEADLINE}")


def _chance(group: Group, kind: str) -> str:
    """The same for all seeds, as they ask the same of the same gallery."""
    return percent(known(group.records[0], kind, f"chance/{HEADLINE}"))


def bounds(record: Record, kind: str, recall: str) -> tuple[float, float]:
    """The 95 % interval that so many queries leave to a recall."""
    return wilson_interval(known(record, kind, recall), int(known(record, kind, "queries")))


def _split_of(record: Record) -> str:
    return record.protocol.rpartition("/")[2]
