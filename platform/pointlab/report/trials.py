"""The search: its trials by score, each searched setting against it, the front of several objectives."""

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pointlab.experiment.search.settings import SCORE
from pointlab.report.collect import Material, gain_of
from pointlab.report.figures import NEUTRAL, TARGET, Picture, label, picture, ring
from pointlab.report.search_front import front_pictures, objectives_of
from pointlab.report.wording import duration, figure, is_share, measure_name, split_name
from pointlab.storage import Record

Row = dict[str, float | str]
OWN_COLUMNS = (
    "trial",
    "generation",
    "member",
    "parent",
    "score",
    "coefficient",
    "epochs",
    "samples",
    "seconds",
    "outcome",
    "run",
)
"""What a search notes of a trial beside the settings that it searched, and figures such as `split/metric`."""
OUTCOMES = {"finished": (TARGET, "circle"), "stopped early": (NEUTRAL, "x-thin")}
MARGIN = {"l": 68, "r": 12, "t": 12, "b": 46}
LOG_DECADES = 1.5
"""Values that span more than this are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class TrialTable:
    """The trials of one search: a table, best first, and a plot for every searched setting."""

    record: Record
    settings: tuple[str, ...]
    objectives: tuple[str, ...]
    """The figures that were compared, where there are several."""
    rows: tuple[tuple[str, ...], ...]
    """Cells as text, in the order of `columns`; the last is the trial's run."""
    chosen: str
    """The run of the trial that was chosen."""
    fronts: tuple[Picture, ...]
    """The trials by every two objectives, where there are several."""
    pictures: tuple[Picture, ...]
    note: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table; a setting goes by the last word of its dotted path if that is unique."""
        figures = (f"{split_name(self.record, each)}: {measure_name(each)}" for each in self.objectives)
        cost = ("coefficient", "epochs", "samples", "time", "outcome", "run")
        return ("score", *figures, *_short(self.settings), *cost)


def trial_tables(material: Material) -> list[TrialTable]:
    """One for every search on the page."""
    return [
        _table(number, record)
        for number, record in enumerate(material.records)
        if record.curves.get("trials")
    ]


def _table(number: int, record: Record) -> TrialTable:
    trials = sorted(
        record.curves["trials"],
        key=lambda row: (_place(row["outcome"]), -gain_of(record, row), str(row["run"])),
    )
    metric = _metric(record)
    settings = tuple(name for name in trials[0] if name not in OWN_COLUMNS and "/" not in name)
    objectives = tuple(objectives_of(record))
    shown = [row for row in trials if row["outcome"] in OUTCOMES and row["score"] != ""]
    chosen = record.notes.get("chosen trial", "")
    pictures = [
        _against(f"trials-{number}-{i}", setting, shown, chosen, metric) for i, setting in enumerate(settings)
    ]
    return TrialTable(
        record=record,
        settings=settings,
        objectives=objectives,
        rows=tuple(_cells(row, settings, objectives, metric) for row in trials),
        chosen=chosen,
        fronts=tuple(front_pictures(f"trials-front-{number}", record)),
        pictures=tuple(pictures),
        note=_note(record, trials),
    )


def _place(outcome: float | str) -> int:
    """Whoever finished comes first, then who was stopped, then the rest: their scores do not compare."""
    return list(OUTCOMES).index(str(outcome)) if outcome in OUTCOMES else len(OUTCOMES)


def _metric(record: Record) -> str:
    """The figure that the scores are; the scaled mean of several has no name."""
    objectives = record.config.get("objectives", [{}])
    return str(objectives[0].get("metric", SCORE)) if len(objectives) == 1 else ""


def _short(settings: tuple[str, ...]) -> list[str]:
    last = [path.rpartition(".")[2] for path in settings]
    return [word if last.count(word) == 1 else path for word, path in zip(last, settings, strict=True)]


def _cells(row: Row, settings: tuple[str, ...], objectives: tuple[str, ...], metric: str) -> tuple[str, ...]:
    numbers = (f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in settings)
    coefficient = row["coefficient"]
    figures = [(metric, row["score"]), *((name, row[name]) for name in objectives)]
    return (
        *(figure(name, float(value)) if value != "" else "" for name, value in figures),
        *numbers,
        f"{coefficient:g}" if isinstance(coefficient, float) else "",
        f"{float(row['epochs']):g}",
        f"{float(row['samples']):,.0f}",
        duration(float(row["seconds"])),
        str(row["outcome"]),
        str(row["run"]),
    )


def _against(name: str, setting: str, trials: list[Row], chosen: str, metric: str) -> Picture:
    values = [row[setting] for row in trials]
    scale, unit = (100.0, " %") if is_share(metric) else (1.0, "")
    traces = [_points(setting, trials, outcome, scale, unit) for outcome in OUTCOMES]
    best = [row for row in trials if row["run"] and row["run"] == chosen]
    traces.append(ring([_value(row[setting]) for row in best], [scale * float(row["score"]) for row in best]))
    x: dict[str, Any] = {"title": {"text": label(setting.rpartition(".")[2].replace("_", " "))}}
    x |= {"type": axis_type(values), "showgrid": True}
    if x["type"] == "log":
        x["dtick"] = "D2"
    y = {"title": {"text": "score"}, "ticksuffix": unit}
    return picture(name, traces, x, y, setting, height=235, showlegend=False, margin=MARGIN)


def _points(setting: str, trials: list[Row], outcome: str, scale: float, unit: str) -> Any:
    rows = [row for row in trials if row["outcome"] == outcome]
    colour, symbol = OUTCOMES[outcome]
    return go.Scatter(
        x=[_value(row[setting]) for row in rows],
        y=[round(scale * float(row["score"]), 4) for row in rows],
        name=outcome,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": colour, "width": 2}},
        customdata=[float(row["epochs"]) for row in rows],
        hovertemplate=f"%{{x}}: %{{y:.4~g}}{unit} after %{{customdata:g}} epochs<extra>{outcome}</extra>",
    )


def _value(value: float | str) -> float | str:
    return label(value) if isinstance(value, str) else value


def axis_type(values: list[float | str]) -> str:
    """`category` for names, `log` for positive numbers over more than `LOG_DECADES`, else `linear`."""
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values) or not numbers:
        return "category"
    spans = min(numbers) > 0 and math.log10(max(numbers) / min(numbers)) > LOG_DECADES
    return "log" if spans else "linear"


def _note(record: Record, trials: list[Row]) -> str:
    counts = {name: sum(row["outcome"] == name for row in trials) for name in (*OUTCOMES, "failed")}
    told = [f"{count} {name}" for name, count in counts.items() if count]
    sentences = [f"{len(trials)} trials: {', '.join(told)}."]
    if counts["stopped early"] and "selection rule" in record.notes:
        sentences.append(
            "A finished trial's score is what the selection rule maximises, at its best coefficient; that of "
            "a trial stopped early is its target validation accuracy when it was stopped."
        )
    return " ".join(sentences)
