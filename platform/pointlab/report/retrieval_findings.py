"""What a retrieval found, in a sentence and in key figures: recalls beside those of a random order."""

from collections.abc import Iterator

from pointlab.report.results import wilson_interval
from pointlab.report.wording import percent
from pointlab.storage import Record

KINDS = {
    "text_to_shape": ("text", "a shape that it describes"),
    "image_to_shape": ("picture", "the shape that it shows"),
    "image_to_class": ("picture", "a shape of its class"),
}
"""Kinds of queries, in the order of a page: what is asked by, and what counts as right."""
HEADLINE = "recall_at_5"


def measured(record: Record) -> list[str]:
    """The kinds of queries that the record has figures of."""
    return [kind for kind in KINDS if value_of(record, kind, "queries") is not None]


def value_of(record: Record, kind: str, measure: str) -> float | None:
    """The measure of queries of this kind, None where there is none."""
    return record.metrics.get(f"{record.protocol.rpartition('/')[2]}/{kind}/{measure}")


def known(record: Record, kind: str, measure: str) -> float:
    """The same, where it is known to be there."""
    value = value_of(record, kind, measure)
    assert value is not None, "every kind that was measured has all measures"
    return value


def retrieval_finding(record: Record) -> str:
    """How many queries of each kind find a right shape among the first five."""
    kinds = measured(record)
    shapes, split = known(record, kinds[0], "shapes"), record.protocol.rpartition("/")[2]
    shares = ", ".join(_share(record, kind) for kind in kinds)
    return f"among {shapes:,.0f} {split} shapes the first five found hold {shares}."


def _share(record: Record, kind: str) -> str:
    by, right = KINDS[kind]
    share, chance = (percent(known(record, kind, f"{order}{HEADLINE}")) for order in ("", "chance/"))
    return f"{right} for {share} of {known(record, kind, 'queries'):,.0f} {by}s ({chance} by chance)"


def key_figures(record: Record) -> Iterator[tuple[str, str, str]]:
    """Label, value and note of the figure on each kind of query."""
    for kind in measured(record):
        by, right = KINDS[kind]
        low, high = bounds(record, kind, HEADLINE)
        chance = percent(known(record, kind, f"chance/{HEADLINE}"))
        note = f"{chance} by chance; 95 % interval {percent(low)} to {percent(high)}"
        yield f"{right} among five, by {by}", percent(known(record, kind, HEADLINE)), note


def bounds(record: Record, kind: str, recall: str) -> tuple[float, float]:
    """The 95 % interval that so many queries leave to a recall."""
    return wilson_interval(known(record, kind, recall), int(known(record, kind, "queries")))
