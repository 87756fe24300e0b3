"""The search: its trials by score, each searched setting against it, the front of several objectives.

The trials of a population are told by generation, and only those of its last one are drawn: earlier ones were
compared after fewer epochs. What its best member was trained with is drawn over the epochs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pointlab.experiment.search.settings import SCORE
from pointlab.report.collect import Material, gain_of, last_generation
from pointlab.report.figures import NEUTRAL, TARGET, Picture, axis_type, label, picture, ring
from pointlab.report.schedule import schedule_pictures
from pointlab.report.search_front import front_pictures, objectives_of
from pointlab.report.wording import duration, figure, is_share, measure_name, number, split_name
from pointlab.storage import Record

Row = dict[str, float | str]
OWN_COLUMNS = (
    "trial",
    "generation",
    "member",
    "parent",
    "compared",
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


@dataclass(frozen=True)
class TrialTable:
    """The trials of one search: a table, best first, and a plot for every searched setting."""

    record: Record
    settings: tuple[str, ...]
    objectives: tuple[str, ...]
    """The figures that were compared, where there are several."""
    is_population: bool
    has_coefficients: bool
    """Whether trials mix weights."""
    has_stopped: bool
    """Whether a trial that is drawn was stopped early."""
    rows: tuple[tuple[str, ...], ...]
    """Cells as text, in the order of `columns`; the last is the trial's run."""
    chosen: str
    """The run of the trial that was chosen."""
    fronts: tuple[Picture, ...]
    """The trials by every two objectives, where there are several."""
    pictures: tuple[Picture, ...]
    schedule: tuple[Picture, ...]
    """The settings of a population's best member over its epochs."""
    note: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table; a setting goes by the last word of its dotted path if that is unique."""
        figures = (f"{split_name(self.record, each)}: {measure_name(each)}" for each in self.objectives)
        mixed = ("coefficient",) if self.has_coefficients else ()
        cost = ("epochs", "samples", "time", "outcome", "run")
        lineage = ("generation", "member", "parent", "at its end") if self.is_population else ()
        return ("score", *figures, *lineage, *_short(self.settings), *mixed, *cost)


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
        key=lambda row: (-_generation(row), _place(row["outcome"]), -gain_of(record, row), str(row["run"])),
    )
    metric = _metric(record)
    settings = tuple(name for name in trials[0] if name not in OWN_COLUMNS and "/" not in name)
    objectives = tuple(objectives_of(record))
    last = last_generation(trials)
    shown = [row for row in last if row["outcome"] in OUTCOMES and row["score"] != ""]
    pictures = [
        _against(f"trials-{number}-{i}", setting, shown, record, metric) for i, setting in enumerate(settings)
    ]
    has_coefficients = any(row["coefficient"] != "" for row in trials)
    return TrialTable(
        record=record,
        settings=settings,
        objectives=objectives,
        is_population="generation" in trials[0],
        has_coefficients=has_coefficients,
        has_stopped=any(row["outcome"] == "stopped early" for row in shown),
        rows=tuple(
            tuple(_cells(row, trials, settings, objectives, metric, has_coefficients=has_coefficients))
            for row in trials
        ),
        chosen=record.notes.get("chosen trial", ""),
        fronts=tuple(front_pictures(f"trials-front-{number}", record)),
        pictures=tuple(pictures),
        schedule=tuple(schedule_pictures(f"schedule-{number}", record, settings)),
        note=_note(record, trials),
    )


def _generation(row: Row) -> float:
    return float(row.get("generation", 0))


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


def _cells(
    row: Row,
    trials: list[Row],
    settings: tuple[str, ...],
    objectives: tuple[str, ...],
    metric: str,
    *,
    has_coefficients: bool,
) -> Iterator[str]:
    numbers = (_setting(row[name]) for name in settings)
    coefficient = row["coefficient"]
    figures = [(metric, row["score"]), *((name, row[name]) for name in objectives)]
    yield from (figure(name, float(value)) if value != "" else "" for name, value in figures)
    yield from _lineage(row, trials, metric)
    yield from numbers
    if has_coefficients:
        yield f"{coefficient:g}" if isinstance(coefficient, float) else ""
    yield from (f"{float(row['epochs']):g}", f"{float(row['samples']):,.0f}", duration(float(row["seconds"])))
    yield from (str(row["outcome"]), str(row["run"]))


def _setting(value: float | str) -> str:
    return number(value, 4) if isinstance(value, float) else str(value)


def _lineage(row: Row, trials: list[Row], metric: str) -> Iterator[str]:
    """Of a population's trial its generation, its member, the member that it went on from, and its figure at
    the generation's end, by which members were compared."""
    if "generation" in row:
        yield f"{float(row['generation']):g}"
        yield f"{float(row['member']):g}"
        yield next((f"{float(one['member']):g}" for one in trials if one["trial"] == row["parent"]), "")
        yield figure(metric, float(row["compared"])) if row.get("compared", "") != "" else ""


def _against(name: str, setting: str, trials: list[Row], record: Record, metric: str) -> Picture:
    chosen = record.notes.get("chosen trial", "")
    scale, unit = (100.0, " %") if is_share(metric) else (1.0, "")
    traces = [_points(setting, trials, outcome, scale, unit) for outcome in OUTCOMES]
    best = [row for row in trials if row["run"] and row["run"] == chosen]
    traces.append(ring([_value(row[setting]) for row in best], [scale * float(row["score"]) for row in best]))
    x: dict[str, Any] = {"title": {"text": label(setting.rpartition(".")[2].replace("_", " "))}}
    x |= {"type": _scale_of(setting, trials, record), "showgrid": True}
    if x["type"] == "log":
        x["dtick"] = "D2"
    y = {"title": {"text": "score"}, "ticksuffix": unit}
    return picture(name, traces, x, y, setting, height=235, showlegend=False, margin=MARGIN)


def _scale_of(setting: str, trials: list[Row], record: Record) -> str:
    """The axis of a setting: of one that was drawn on a logarithmic scale that one."""
    drawn = record.config.get("space", {}).get(setting)
    is_log = isinstance(drawn, dict) and drawn.get("kind") == "log_uniform"
    return "log" if is_log else axis_type([row[setting] for row in trials])


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


def _note(record: Record, trials: list[Row]) -> str:
    counts = {name: sum(row["outcome"] == name for row in trials) for name in (*OUTCOMES, "failed")}
    told = [f"{count} {name}" for name, count in counts.items() if count]
    sentences = [f"{len(trials)} trials: {', '.join(told)}."]
    if "generation" in trials[0]:
        sentences.append(
            "A trial is one member's training in one generation; its parent is the member from whose weights,"
            " of the generation before, it went on. Members were compared by their figure at a generation's"
            " end; the score is that of the epoch that a trial keeps, and says which one is chosen. Both"
            " compare within a generation, and the plots against settings are of the last."
        )
    if objectives_of(record):
        sentences.append(
            "The score is the mean of the objectives, each scaled to [0, 1] over all finished trials: the"
            " largest of those on the front is recommended."
        )
    if counts["stopped early"] and "selection rule" in record.notes:
        sentences.append(
            "A finished trial's score is what the selection rule maximises, at its best coefficient; that of "
            "a trial stopped early is its target validation accuracy when it was stopped."
        )
    return " ".join(sentences)
