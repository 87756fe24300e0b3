"""Where the mixtures of a study chose an end of their path: what they gain there is not the mixing's.

A coefficient of 0 is the pretrained backbone itself, of 1 the fine-tuned one (`experiment.mixing`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pointlab.report.sweeps import ENDS
from pointlab.storage import Record
from pointlab.study.comparison import Row

Choices = dict[str, list[float]]
"""The coefficients that runs have chosen, by their start or protocol."""


def ends_by_protocol(study: Record, cells: Mapping[str, Record]) -> str:
    """A sentence on the whole study; "" where no cell has chosen an end."""
    told = [
        f"under {protocol.replace('-', ' ')} in {_count(chosen)}"
        for protocol, chosen in _choices(study.curves["cells"], cells, "protocol").items()
        if _at_ends(chosen)
    ]
    return f"Mind that nothing is mixed where an end was chosen: {', '.join(told)}." if told else ""


def ends_by_start(rows: Iterable[Row], cells: Mapping[str, Record]) -> str:
    """A sentence on some cells of one protocol, start by start; "" where none has chosen an end."""
    told = [
        f"by {start} in {_count(chosen, end)} ({name}, coefficient {end:g})"
        for start, chosen in _choices(rows, cells, "start").items()
        for end, name in ENDS.items()
        if end in chosen
    ]
    return f"An end was chosen, where nothing is mixed, {', '.join(told)}." if told else ""


def _choices(rows: Iterable[Row], cells: Mapping[str, Record], level: str) -> Choices:
    found: Choices = {}
    for row in rows:
        found.setdefault(str(row[level]), []).extend(_chosen(cells.get(str(row["run"]))))
    return found


def _chosen(record: Record | None) -> Iterator[float]:
    """The coefficient of a run that had several to choose from; nothing of any other run."""
    if record is not None and "selection rule" in record.notes:
        yield record.metrics["selection/coefficient"]


def _at_ends(chosen: Sequence[float]) -> int:
    return sum(each in ENDS for each in chosen)


def _count(chosen: Sequence[float], end: float | None = None) -> str:
    at_it = _at_ends(chosen) if end is None else chosen.count(end)
    return f"{at_it} of {len(chosen)} {'run' if len(chosen) == 1 else 'runs'}"
