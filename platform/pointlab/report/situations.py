"""Which start for which situation: by what is measured, by protocol, by number of labels, in words.

Over all labels the pooled differences answer. For one number of labels the groups of seeds do, place by
place: a place is a route and a backbone; a start is surely better there where its interval lies above 0.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from pointlab.experiment.matrix import ALL
from pointlab.report.chosen_ends import ends_by_protocol, ends_by_start
from pointlab.report.measures import by_measure, measure_words, measures_of
from pointlab.report.study_finding import by_protocol, study_finding, together, verdict, verdict_of, widest
from pointlab.report.wording import measure_name
from pointlab.storage import Record
from pointlab.study.comparison import Row


def headline(record: Record, cells: Mapping[str, Record]) -> str:
    """The answer in a breath: who is surely better than the baseline, in how many situations none is, and
    what of it no mixing has brought. `cells` are the records of the study's cells, by run."""
    return " ".join(filter(None, (_found(record), ends_by_protocol(record, cells))))


def _found(record: Record) -> str:
    baseline, cells = record.notes["baseline"], record.notes["cells"]
    contests = [
        (measure, protocol, rows)
        for measure, pooled in by_measure(record, "pooled").items()
        for protocol, rows in by_protocol(widest(pooled)).items()
    ]
    if not contests:
        return study_finding(record)
    wins = Counter(str(row["start"]) for *_, rows in contests for row in rows if verdict_of(row) == "better")
    if not wins:
        return f"{_nothing(contests, baseline)} ({cells})."
    told = ", ".join(f"{start} in {count} of {len(contests)}" for start, count in wins.most_common())
    none = sum(all(verdict_of(row) != "better" for row in rows) for *_, rows in contests)
    rest = f" In {none} of them nothing is." if none else ""
    sure = f"Surely better than {baseline} over all routes and labels, by situation ({cells}): {told}.{rest}"
    return f"{sure} {together(record)}".rstrip()


def situations(record: Record, cells: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Each with what the numbers say of it, in points of its measure."""
    for measure, pooled in by_measure(record, "pooled").items():
        for protocol, rows in by_protocol(widest(pooled)).items():
            tried = [row for row in record.curves["cells"] if row["protocol"] == protocol]
            told = f"{verdict(rows)}, over all routes and labels. {ends_by_start(tried, cells)}"
            yield _where(measure, protocol, record), told.rstrip()
    for measure, compared in by_measure(record, "comparison").items():
        rows = [row for row in compared if row["difference"] != ""]
        if len(numbers := dict.fromkeys(str(row["samples_per_class"]) for row in rows)) > 1:
            for labels in numbers:
                few = [row for row in rows if row["samples_per_class"] == labels]
                for protocol, here in by_protocol(few).items():
                    yield f"{_where(measure, protocol, record)}, {_told_labels(labels)}", _of_places(here)


def _nothing(contests: Sequence[tuple[str, str, list[Row]]], baseline: str) -> str:
    """Said plainly, and whether that is a finding or a want of seeds."""
    if all(row["low"] == "" for *_, rows in contests for row in rows):
        return f"Nothing can be called surely better than {baseline}: no difference has an interval"
    count = f"any of {len(contests)} situations" if len(contests) > 1 else "the one situation studied"
    return f"Nothing is surely better than {baseline} in {count}: no interval lies above 0"


def _where(measure: str, protocol: str, record: Record) -> str:
    what = measure_words(measure) if len(measures_of(record)) > 1 else measure_name(measure)
    return f"{what}, {protocol.replace('-', ' ')}"


def _told_labels(labels: str) -> str:
    return "all labels" if labels == ALL else f"{labels} labels a class"


def _of_places(rows: Sequence[Row]) -> str:
    """Who is surely better at how many places; who leads in the mean of the differences where nobody is."""
    starts = {start: [row for row in rows if row["start"] == start] for start in _starts(rows)}
    sure = {start: [row for row in found if verdict_of(row) == "better"] for start, found in starts.items()}
    if any(sure.values()):
        alike: dict[str, list[str]] = defaultdict(list)
        for start, won in sure.items():
            if won:
                alike[_at_places(f"at {len(won)} of", len(starts[start]))].append(start)
        clear = (f"{', '.join(names)} {where}" for where, names in alike.items())
        return f"surely better: {'; '.join(clear)}."
    means = {start: fmean(float(row["difference"]) for row in found) for start, found in starts.items()}
    best = max(means, key=lambda start: means[start])
    lead = "leads" if means[best] > 0 else "comes closest"
    has_intervals = any(row["low"] != "" for row in rows)
    plain = "nothing is surely better" if has_intervals else "no interval can be had"
    where = _at_places("in the mean of", len(starts[best]))
    return f"{plain}; {best} {lead} with {100 * means[best]:+.1f} {where}."


def _starts(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["start"]) for row in rows))


def _at_places(share: str, num_places: int) -> str:
    return "at the one place" if num_places == 1 else f"{share} {num_places} places"
