"""The answer of a study in sentences, and a difference with its interval in words: in points of a hundred."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from pointlab.experiment.matrix import ALL
from pointlab.report.measures import by_measure, measure_words, of_measure
from pointlab.report.wording import measure_name, percent
from pointlab.storage import Record
from pointlab.study.comparison import TOGETHER, Row


def study_finding(record: Record) -> str:
    """The answer in a few sentences, made from the differences over all routes, labels and seeds.

    Where runs of several versions of the code are compared, it says so.
    """
    baseline, cells = record.notes["baseline"], record.notes["cells"]
    compared = by_measure(record, "pooled")
    if not compared:
        return _uncompared(record)
    code = f" Mind the code: {record.notes['code']}." if "code" in record.notes else ""
    rest = f" {together(record)}".rstrip() + code
    if len(compared) == 1:
        ((measure, rows),) = compared.items()
        return (
            f"Compared with {baseline}, in points of {measure_name(measure)} ({cells}): {_told(rows)}{rest}"
        )
    told = (f"In points of {measure_words(measure)}: {_told(rows)}" for measure, rows in compared.items())
    return f"Compared with {baseline} ({cells}): {' '.join(told)}{rest}"


def together(record: Record) -> str:
    """Which backbones are all of them, in a sentence; "" where there is nothing to mind."""
    return f"All backbones: {record.notes[TOGETHER]}." if TOGETHER in record.notes else ""


def _told(rows: Sequence[Row]) -> str:
    """A sentence for each protocol."""
    found = widest(rows)
    return " ".join(_verdict(protocol, of_it) for protocol, of_it in by_protocol(found).items())


def by_protocol(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each protocol."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["protocol"]), []).append(row)
    return found


def _uncompared(record: Record) -> str:
    """Why there is no difference to tell, and what the starts reach by themselves."""
    baseline, cells = record.notes["baseline"], record.curves["cells"]
    if cells and all(row["start"] != baseline for row in cells):
        why = f"the baseline {baseline} is not among the cells, as `only` or `exclude` leave it out"
    elif any(row["outcome"] == "not run" for row in cells) or not cells:
        why = "no start can be compared yet"
    else:
        why = f"at no place have {baseline} and all other starts a figure"
    reached = _reached(record)
    alone = f" In the mean over what is finished: {'; '.join(reached)}." if reached else ""
    return f"Compared with {baseline} ({record.notes['cells']}): {why}.{alone}"


def _reached(record: Record) -> list[str]:
    """The figure of each start under each protocol, in the mean over routes, backbones and labels."""
    values: dict[str, dict[str, list[float]]] = {}
    for measure, rows in by_measure(record, "comparison").items():
        for row in rows:
            of_starts = values.setdefault(f"{row['protocol']}{of_measure(measure, record)}", {})
            of_starts.setdefault(str(row["start"]), []).append(float(row["mean"]))
    return [
        f"under {protocol.replace('-', ' ')}, "
        + ", ".join(f"{start} {percent(fmean(means))}" for start, means in of_starts.items())
        for protocol, of_starts in values.items()
    ]


def widest(rows: Sequence[Row]) -> list[Row]:
    """The pooled rows over all backbones; of the only one where there is one."""
    return [row for row in rows if row["backbone"] == ALL] or list(rows)


def _verdict(protocol: str, rows: list[Row]) -> str:
    return f"Under {protocol.replace('-', ' ')}, {verdict(rows)}."


def verdict(rows: Sequence[Row]) -> str:
    """What is surely better or worse, in part of a sentence; who comes first where nothing is."""
    best = max(rows, key=lambda row: float(row["difference"]))
    better = [row for row in rows if verdict_of(row) == "better"]
    worse = [row for row in rows if verdict_of(row) == "worse"]
    if better:
        names = ", ".join(f"{row['start']} {points(row)}" for row in _by_difference(better))
        told = f"better: {names}"
    elif float(best["difference"]) <= 0:
        told = f"none is ahead; {best['start']} comes closest with {points(best)}"
    elif all(row["low"] == "" for row in rows):
        told = f"{best['start']} comes first with {points(best)}"
    else:
        told = f"none is surely better; {best['start']} comes first with {points(best)}"
    if worse:
        names = ", ".join(f"{row['start']} {points(row)}" for row in _by_difference(worse))
        told += f"; worse: {names}"
    return told


def _by_difference(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -float(row["difference"]))


def points(row: Row) -> str:
    """A difference with its interval, or with why there is none."""
    told = f"{100 * float(row['difference']):+.1f}"
    if row["low"] != "":
        return f"{told} [{100 * float(row['low']):+.1f}, {100 * float(row['high']):+.1f}]"
    if "clusters" in row:
        return f"{told} (no interval)"
    return f"{told} ({'one seed' if row['pairs'] == 1 else 'no spread'})"


def verdict_of(row: Row) -> str:
    """Better or worse where the interval leaves out 0, "" where nothing can be said."""
    if row["low"] == "":
        return ""
    return "better" if float(row["low"]) > 0 else "worse" if float(row["high"]) < 0 else ""
