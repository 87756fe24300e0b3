"""What a study compares, measure by measure: accuracy, robustness and overlap are never mixed in a figure."""

from pointlab.experiment.matrix import ALL
from pointlab.storage import Record
from pointlab.study.comparison import Row

WORDS = {
    "test/accuracy": "test accuracy",
    "test/mOA": "accuracy under corruptions",
    "corrupted-test/mOA": "accuracy under corruptions",
    "shifted-test/accuracy": "accuracy on the shifted test",
    "test/miou": "mean IoU",
}
"""The situation that a measure tells of."""


def measure_words(measure: str) -> str:
    """In words."""
    return WORDS.get(measure, measure)


def by_measure(record: Record, curve: str) -> dict[str, list[Row]]:
    """The rows of a curve by measure; old records have one, which no row names."""
    found: dict[str, list[Row]] = {}
    for row in record.curves.get(curve, []):
        found.setdefault(str(row.get("measure", record.notes["measure"])), []).append(row)
    return found


def pooled_by_measure(record: Record) -> dict[str, list[Row]]:
    """The pooled differences by measure; those over all backbones only where they are not those of one."""
    return {measure: _without_repeats(rows) for measure, rows in by_measure(record, "pooled").items()}


def _without_repeats(rows: list[Row]) -> list[Row]:
    of_one = [{**row, "backbone": ALL} for row in rows if row["backbone"] != ALL]
    return [row for row in rows if row not in of_one]


def measures_of(record: Record) -> list[str]:
    """All that the study compares, the first one foremost."""
    return list(dict.fromkeys([record.notes["measure"], *by_measure(record, "comparison")]))


def of_measure(measure: str, record: Record) -> str:
    """ ", of mean IoU" where the study compares several, else ""."""
    return f", {measure_words(measure)}" if len(measures_of(record)) > 1 else ""
