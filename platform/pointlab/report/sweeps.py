"""A sweep over mixing coefficients as a record keeps it, and the point on it that was chosen."""

from dataclasses import dataclass
from typing import Any

from pointlab.report.wording import percent
from pointlab.storage import Record

METHODS = {"wise_ft_lp": "WiSE-FT-LP", "wise_ft": "WiSE-FT"}
SPLITS = ("target", "shifted")
ENDS = {0.0: "pretrained", 1.0: "fine-tuned"}


@dataclass(frozen=True)
class Sweep:
    """The rows of one record's sweep by method, in order of coefficient; `own` is the record's method."""

    own: str
    by_method: dict[str, list[dict[str, Any]]]
    chosen: dict[str, Any] | None

    @property
    def splits(self) -> list[str]:
        """Those that were measured: the target, and perhaps the shifted set."""
        rows = [row for rows in self.by_method.values() for row in rows]
        return [split for split in SPLITS if rows and all(_metric(split) in row for row in rows)]

    def coefficients(self, method: str) -> list[float]:
        """The grid, ascending."""
        return [float(row["coefficient"]) for row in self.by_method[method]]

    def accuracies(self, method: str, split: str) -> list[float]:
        """Validation accuracy of a split at every coefficient, in [0, 1]."""
        return [float(row[_metric(split)]) for row in self.by_method[method]]

    def at(self, coefficient: float) -> dict[str, Any] | None:
        """The row of the record's own method at `coefficient`, if it is on the grid."""
        rows = self.by_method.get(self.own, [])
        return next((row for row in rows if row["coefficient"] == coefficient), None)


def read_sweep(record: Record) -> Sweep:
    """The sweep of a record, with the row that its metrics say was chosen."""
    rows = sorted(record.curves["coefficients"], key=lambda row: float(row["coefficient"]))
    by_method = {method: [row for row in rows if row["method"] == method] for method in METHODS}
    present = {method: found for method, found in by_method.items() if found}
    sweep = Sweep(record.protocol.partition("/")[0], present, None)
    chosen = sweep.at(record.metrics.get("selection/coefficient", float("nan")))
    return Sweep(sweep.own, present, chosen)


def accuracy(row: dict[str, Any], split: str) -> float:
    """Validation accuracy of a split in one row."""
    return float(row[_metric(split)])


def describe(sweep: Sweep) -> str:
    """What the curve shows, and what the chosen point has over the fine-tuned end."""
    opening = "Validation accuracy of every mixture, each an average of the weights of the two ends."
    if sweep.chosen is None:
        return opening
    found = f"The chosen one has {_in_words(sweep, sweep.chosen)}"
    fine_tuned = sweep.at(1.0)
    if fine_tuned is not None and fine_tuned is not sweep.chosen:
        found += f", the fine-tuned end {_in_words(sweep, fine_tuned)}"
    return (
        f"{opening} {found}. It was chosen by these very figures, which flatter it; the test splits decide."
    )


def _in_words(sweep: Sweep, row: dict[str, Any]) -> str:
    return " and ".join(f"{percent(accuracy(row, split))} ({split})" for split in sweep.splits)


def _metric(split: str) -> str:
    return f"{split}-validation/accuracy"
