"""Few-shot classification: a row for each start and setting, over folds and over seeds.

The spread over folds tells how much the few clouds matter that were drawn; the spread over seeds, how much
another pretraining or other folds would change the mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import plotly.graph_objects as go

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.report.cells import cells_by_place
from pointlab.report.collect import Material
from pointlab.report.figures import SERIES, Picture, in_percent, label, picture
from pointlab.report.results import Group, group_by_seed
from pointlab.report.wording import GAP, percent, split_name

HEADS = {"linear": "logistic regression", "svm": "linear SVM", "full": "all weights"}


@dataclass(frozen=True)
class FewShotRow:
    """One setting of one start on one split, in words; `measure` of `group` is what they tell."""

    group: Group
    measure: str
    name: str
    setting: str
    head: str
    split: str
    over_folds: str
    over_seeds: str


@dataclass(frozen=True)
class FewShotSection:
    """The rows of one place, and the accuracy of every fold."""

    title: str
    rows: tuple[FewShotRow, ...]
    picture: Picture


def few_shot_sections(material: Material) -> list[FewShotSection]:
    """One for all folds among the page's own records, and one for each place of its studies that has any."""
    found = [("", [(group.name, group) for group in group_by_seed(material.records)])]
    for place, cells in cells_by_place(material).items():
        found.append((place.title, [(cell.start, cell.group) for cell in cells]))
    folded = [
        (f"{title} (legacy)".strip() if is_legacy else title, groups)
        for title, every in found
        for is_legacy in (False, True)
        if (groups := [(name, group) for name, group in every if _is_few_shot(group, is_legacy=is_legacy)])
    ]
    return [_section(number, title, groups) for number, (title, groups) in enumerate(folded)]


def _is_few_shot(group: Group, *, is_legacy: bool) -> bool:
    """Whether it has folds, and habits of released code or not: the two share no table."""
    has_folds = any(metric.endswith("/accuracy_std") for metric in group.metrics)
    return has_folds and group.protocol.startswith(LEGACY) == is_legacy


def _section(number: int, title: str, groups: Sequence[tuple[str, Group]]) -> FewShotSection:
    """Settings of equal names stand together, so that starts are compared within each."""
    ordered = sorted(groups, key=lambda entry: _numbers(entry[1]))
    rows = [row for name, group in ordered for row in _rows(name, group)]
    return FewShotSection(title, tuple(rows), _folds(f"folds-{number}", ordered))


def _setting(group: Group) -> tuple[str, str]:
    """Ways and shots, and the head, of a stamp such as `few_shot/5-way-10-shot/linear`."""
    parts = group.protocol.split("/")
    setting = next(part for part in parts if part.endswith("-shot"))
    return setting, parts[parts.index(setting) + 1]


def _numbers(group: Group) -> tuple[int, int, str]:
    """Ways, shots and head."""
    setting, head = _setting(group)
    ways, _, shots, _ = setting.split("-")
    return int(ways), int(shots), head


def _rows(name: str, group: Group) -> Iterator[FewShotRow]:
    setting, head = _setting(group)
    for metric in group.metrics:
        if metric.endswith("/accuracy_std"):
            measure = metric.removesuffix("_std")
            yield FewShotRow(
                group,
                measure,
                name,
                setting.replace("-", " "),
                HEADS.get(head, head),
                split_name(group.records[0], measure),
                _told(fmean(group.values(measure)), fmean(group.values(metric))),
                _over_seeds(group.values(measure)),
            )


def _told(mean: float, deviation: float) -> str:
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}{GAP}%"


def _over_seeds(means: Sequence[float]) -> str:
    """The spread of the means; of one seed there is none."""
    return f"± {percent(stdev(means))} ({len(means)})" if len(means) > 1 else "one seed"


def _folds(name: str, groups: Sequence[tuple[str, Group]]) -> Picture:
    settings = list(dict.fromkeys(_setting(group) for _, group in groups))
    colours = dict(zip(settings, SERIES * len(settings), strict=False))
    traces = []
    for (ways, head), colour in colours.items():
        told = f"{ways.replace('-', ' ')}, {HEADS.get(head, head)}"
        found = [(name, _accuracies(group)) for name, group in groups if _setting(group) == (ways, head)]
        traces.append(
            go.Box(
                x=[label(name) for name, accuracies in found for _ in accuracies],
                y=in_percent([each for _, accuracies in found for each in accuracies]),
                name=told,
                boxpoints="all",
                jitter=0.4,
                pointpos=0,
                marker={"color": colour, "size": 4},
                line={"color": colour, "width": 1},
                fillcolor="rgba(0,0,0,0)",
            )
        )
    caption = "Accuracy of every fold of every seed on the target, with its median and quartiles."
    y = {"title": {"text": "accuracy of a fold"}, "ticksuffix": " %"}
    margin = {"l": 74, "r": 14, "t": 54, "b": 48}
    return picture(name, traces, {"type": "category"}, y, caption, boxmode="group", height=380, margin=margin)


def _accuracies(group: Group) -> list[float]:
    """Of every fold of every seed, on the target."""
    rows = [row for record in group.records for row in record.curves["folds"]]
    split = next(split for split in ("test", "validation") if f"{split}/accuracy" in rows[0])
    return [float(row[f"{split}/accuracy"]) for row in rows]
