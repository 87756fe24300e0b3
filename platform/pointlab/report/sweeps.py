"""Sweeps over mixing coefficients, of runs that differ in their seed alone, and what these chose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.report.wording import percent
from pointlab.storage import Record
from pointlab.study.statistics import mean_interval

METHODS = {"wise_ft_lp": "WiSE-FT-LP", "wise_ft": "WiSE-FT"}
SPLITS = ("target", "shifted", "corrupted")
"""Validation sets; of corrupted clouds the accuracy is the mean over all corruptions and severities."""
ENDS = {0.0: "pretrained", 1.0: "fine-tuned"}


@dataclass(frozen=True)
class Point:
    """The mixtures of one coefficient: their validation accuracies in [0, 1], by split, one for each seed."""

    coefficient: float
    accuracies: dict[str, tuple[float, ...]]

    def mean(self, split: str) -> float:
        """Over seeds."""
        return fmean(self.accuracies[split])

    def bounds(self, split: str) -> tuple[float, float]:
        """Student's 95 % interval over seeds, within [0, 1]; the mean alone where there is none."""
        low, high = mean_interval(self.accuracies[split]) or (self.mean(split), self.mean(split))
        return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Choice:
    """What one run has chosen: a coefficient of its method, and the accuracies there, by split."""

    method: str
    coefficient: float
    accuracies: dict[str, float]


@dataclass(frozen=True)
class Sweep:
    """The points of each method in order of coefficient, and the choice of every run that made one."""

    own: tuple[str, ...]
    """The methods of these runs; a sweep measures the other one beside."""
    by_method: dict[str, tuple[Point, ...]]
    choices: tuple[Choice, ...]

    @property
    def splits(self) -> list[str]:
        """Those that were measured: the target, and perhaps it under a shift and under corruptions."""
        points = [point for points in self.by_method.values() for point in points]
        return [split for split in SPLITS if points and all(split in point.accuracies for point in points)]

    @property
    def num_seeds(self) -> int:
        """How many runs each point rests on."""
        return max(len(found) for found in next(iter(self.by_method.values()))[0].accuracies.values())

    @property
    def is_given(self) -> bool:
        """Whether there was one mixture alone, as with coefficients by depth, and so nothing to choose."""
        return all(len(self.by_method.get(method, ())) == 1 for method in self.own)

    def at(self, method: str, coefficient: float) -> Point | None:
        """The point of a method at `coefficient`, if that is on the grid."""
        points = self.by_method.get(method, ())
        return next((point for point in points if point.coefficient == coefficient), None)

    def chosen_by(self, method: str) -> list[Choice]:
        """The choices of this method's runs."""
        return [choice for choice in self.choices if choice.method == method]


def read_sweep(records: Sequence[Record]) -> Sweep:
    """The sweep of runs that differ in their seed alone, each with the row that its metrics say it chose."""
    own = records[0].protocol.removeprefix(LEGACY).partition("/")[0]
    by_method = {method: _points(records, method) for method in METHODS}
    present = {method: points for method, points in by_method.items() if points}
    return Sweep((own,), present, tuple(_choices(records, own)))


def unite_equal(sweeps: Sequence[Sweep]) -> list[Sweep]:
    """The sweeps, those of equal points as one that has the choices of all: both methods of one fine-tuning
    measure the same."""
    united: list[Sweep] = []
    for sweep in sweeps:
        for place, found in enumerate(united):
            if found.by_method == sweep.by_method:
                own = tuple(dict.fromkeys((*found.own, *sweep.own)))
                united[place] = replace(found, own=own, choices=(*found.choices, *sweep.choices))
                break
        else:
            united.append(sweep)
    return united


def describe(sweep: Sweep, method: str) -> str:
    """What the curve shows, and what the chosen points of a method have over its fine-tuned end."""
    opening = "Validation accuracy of every mixture, each an average of the weights of the two ends."
    if sweep.num_seeds > 1:
        opening += (
            f" Lines are means over {sweep.num_seeds} seeds, bands Student's 95 % intervals of the means of"
            f" {METHODS[method]}; a band closes where all seeds are equal."
        )
    choices = sweep.chosen_by(method)
    if not choices:
        return opening
    means = {split: fmean(choice.accuracies[split] for choice in choices) for split in sweep.splits}
    told = f"The {'given' if sweep.is_given else 'chosen'} one has {_in_words(means)}"
    if len(choices) > 1 and not sweep.is_given:
        told = f"Those that were chosen have {_in_words(means)} in the mean"
    fine_tuned = sweep.at(method, 1.0)
    if fine_tuned is not None and any(choice.coefficient != 1.0 for choice in choices):
        told += f", the fine-tuned end {_in_words({s: fine_tuned.mean(s) for s in sweep.splits})}"
    if sweep.is_given:
        return f"{opening} {told}."
    return (
        f"{opening} {told}. Choosing went by these very figures, which flatters it; the test splits decide."
    )


def _in_words(accuracies: dict[str, float]) -> str:
    return " and ".join(f"{percent(value)} ({split})" for split, value in accuracies.items())


def _points(records: Sequence[Record], method: str) -> tuple[Point, ...]:
    rows = [row for record in records for row in record.curves["coefficients"] if row["method"] == method]
    return tuple(
        Point(
            coefficient,
            {
                split: tuple(float(row[_metric(split)]) for row in rows if row["coefficient"] == coefficient)
                for split in SPLITS
                if all(_metric(split) in row for row in rows)
            },
        )
        for coefficient in sorted({float(row["coefficient"]) for row in rows})
    )


def _choices(records: Sequence[Record], method: str) -> Iterator[Choice]:
    for record in records:
        coefficient = record.metrics.get("selection/coefficient")
        for row in record.curves["coefficients"]:
            if row["method"] == method and row["coefficient"] == coefficient:
                found = {split: float(row[_metric(split)]) for split in SPLITS if _metric(split) in row}
                yield Choice(method, float(row["coefficient"]), found)


def _metric(split: str) -> str:
    return f"{split}-validation/accuracy"
