"""The tables of an analysis as the page reads them: the stages of every subject, from shallow to deep."""

from dataclasses import dataclass

from pointlab.report.views import PARTS
from pointlab.storage import Record

Row = dict[str, float | str]


@dataclass(frozen=True)
class Layers:
    """The stages of one subject with all that was measured at them, and the colour of its lines."""

    subject: str
    colour: str
    rows: tuple[Row, ...]

    @property
    def stages(self) -> list[str]:
        """Names, from shallow to deep."""
        return [str(row["stage"]) for row in self.rows]

    @property
    def network(self) -> list[tuple[str, float]]:
        """Names and widths of the stages: equal for subjects whose gradients may be compared."""
        return [(str(row["stage"]), float(row["width"])) for row in self.rows]

    @property
    def has_fresh_head(self) -> bool:
        """Whether gradients came through a new head: those through trained ones do not compare."""
        return self.rows[0].get("head") == "fresh"

    @property
    def started_as(self) -> str:
        """The subject that this one was fine-tuned from; empty where that is not shown."""
        return str(self.rows[0].get("started_as", ""))

    def values(self, measure: str) -> list[float | None]:
        """The measure at each stage; None where it could not be taken."""
        return [None if row.get(measure, "") == "" else float(row[measure]) for row in self.rows]

    def has(self, measure: str) -> bool:
        """Whether some stage has this measure."""
        return any(value is not None for value in self.values(measure))

    def extreme(self, measure: str, *, is_highest: bool) -> tuple[str, float] | None:
        """Stage and value where the measure is highest, or lowest; the shallowest of equals."""
        found = [
            (value, stage)
            for stage, value in zip(self.stages, self.values(measure), strict=True)
            if value is not None
        ]
        if not found:
            return None
        value, stage = (max if is_highest else min)(found, key=lambda pair: pair[0])
        return stage, value


@dataclass(frozen=True)
class Shown:
    """How many clouds accuracies rest on, and how many classes there are to guess among."""

    num_clouds: int
    num_classes: int


def read_shown(record: Record) -> Shown | None:
    """The clouds that an analysis was scored on; None where it was on none."""
    split = record.protocol.rpartition("/")[2]
    shown = record.curves.get("shown", [])
    found = [int(row["clouds"]) for row in shown if row["split"] == split]
    return Shown(found[0], max(int(row["classes"]) for row in shown)) if found else None


def read_layers(record: Record) -> list[Layers]:
    """The subjects of an analysis, in the order of its record."""
    by_subject: dict[str, list[Row]] = {}
    for row in record.curves["stages"]:
        by_subject.setdefault(str(row["subject"]), []).append(row)
    return [
        Layers(
            name,
            PARTS[number % len(PARTS)],
            tuple(sorted(rows, key=lambda row: float(row["depth"]))),
        )
        for number, (name, rows) in enumerate(by_subject.items())
    ]
