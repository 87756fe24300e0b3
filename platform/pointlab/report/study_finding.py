"""The answer of a study in sentences, and a difference with its interval in words: in points of a hundred."""

from statistics import fmean

from pointlab.experiment.matrix import ALL
from pointlab.report.wording import measure_name, percent
from pointlab.storage import Record
from pointlab.study.comparison import Row


def study_finding(record: Record) -> str:
    """The answer in a few sentences, made from the differences over all routes, labels and seeds.

    Where runs of several versions of the code are compared, it says so.
    """
    baseline = record.notes["baseline"]
    rows = _widest(record)
    if not rows:
        return _uncompared(record)
    protocols = dict.fromkeys(str(row["protocol"]) for row in rows)
    sentences = [_verdict(protocol, [r for r in rows if r["protocol"] == protocol]) for protocol in protocols]
    told = " ".join(sentences)
    code = f" Mind the code: {record.notes['code']}." if "code" in record.notes else ""
    is_one_of_many = rows[0]["backbone"] != ALL and len(rows) < len(record.curves["pooled"])
    on = f" on {rows[0]['backbone']}, the backbone with seeds enough" if is_one_of_many else ""
    what = measure_name(record.notes["measure"])
    return f"Compared with {baseline}{on}, in points of {what} ({record.notes['cells']}): {told}{code}"


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
    for row in record.curves["comparison"]:
        of_starts = values.setdefault(str(row["protocol"]), {})
        of_starts.setdefault(str(row["start"]), []).append(float(row["mean"]))
    return [
        f"under {protocol.replace('-', ' ')}, "
        + ", ".join(f"{start} {percent(fmean(means))}" for start, means in of_starts.items())
        for protocol, of_starts in values.items()
    ]


def _widest(record: Record) -> list[Row]:
    """The pooled rows over all backbones; of the first one with an interval where only it has any."""
    rows = record.curves["pooled"]
    backbones = dict.fromkeys(str(row["backbone"]) for row in rows)
    found = [
        [row for row in rows if row["backbone"] == backbone] for backbone in sorted(backbones, key=_rank)
    ]
    sure = (group for group in found if any(row["low"] != "" for row in group))
    return next(sure, found[0] if found else [])


def _rank(backbone: str) -> bool:
    return backbone != ALL


def _verdict(protocol: str, rows: list[Row]) -> str:
    method = protocol.replace("-", " ")
    best = max(rows, key=lambda row: float(row["difference"]))
    better = [row for row in rows if verdict_of(row) == "better"]
    worse = [row for row in rows if verdict_of(row) == "worse"]
    if better:
        names = ", ".join(f"{row['start']} {points(row)}" for row in _by_difference(better))
        told = f"Under {method}, better: {names}"
    elif float(best["difference"]) <= 0:
        told = f"Under {method}, none is ahead; {best['start']} comes closest with {points(best)}"
    elif all(row["low"] == "" for row in rows):
        told = f"Under {method}, {best['start']} comes first with {points(best)}"
    else:
        told = f"Under {method}, none is surely better; {best['start']} comes first with {points(best)}"
    if worse:
        names = ", ".join(f"{row['start']} {points(row)}" for row in _by_difference(worse))
        told += f"; worse: {names}"
    return f"{told}."


def _by_difference(rows: list[Row]) -> list[Row]:
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
