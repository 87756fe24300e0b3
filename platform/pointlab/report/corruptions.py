"""Accuracies under every corruption at every severity, and what is to be known before comparing them.

Tables are of evaluations, and of transfers that were measured under a suite of corruptions. Classifiers that
met the same clouds, which the suite's hash tells, are set beside one another corruption by corruption.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.report.cells import cells_by_place
from pointlab.report.collect import Material
from pointlab.report.corruption_radar import Lines, radar
from pointlab.report.figures import SERIES, Picture
from pointlab.report.results import Group, group_by_seed, summary
from pointlab.study.comparison import Row
from pointlab.study.statistics import summarise

NOTES = ("suite", "origin", "suite hash", "content hash", "baseline", "comparability", "warning")
"""Notes of a record on its suite, in the order in which they are shown."""
RATIOS = ("CE", "RCE")
HASHES = {"corrupted-validation": "validation suite hash"}
"""The note that tells which clouds a split had, where it is not "suite hash"."""


@dataclass(frozen=True)
class CorruptionTable:
    """One group of records: a row for each corruption, whose cells are in the order of `columns`."""

    group: Group
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CorruptionComparison:
    """Classifiers on the same corrupted clouds: a column for each, and their accuracies as a radar."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    pictures: tuple[Picture, ...]
    numbers: tuple[Row, ...]
    """Mean and deviation of each classifier under each corruption, unrounded."""


def corruption_tables(material: Material) -> list[CorruptionTable]:
    """A table for every group of the page's records that was measured under corruptions."""
    return [
        _table(group, split)
        for group in group_by_seed(material.records)
        if (split := corrupted_split(group)) is not None
    ]


def corruption_comparisons(material: Material) -> list[CorruptionComparison]:
    """One for each suite among the page's records, and one for every place of its studies that has any.

    A table is left out where there is but one classifier, which has its own.
    """
    own = _titled([(group.name, group) for group in group_by_seed(material.records)])
    found, starts = [("", groups) for groups in _by_clouds(own)], dict[str, str]()
    for place, cells in cells_by_place(material).items():
        titled = _titled([(cell.title, cell.group) for cell in cells])
        found += [(place.title, groups) for groups in _by_clouds(titled)]
        starts |= {title: cell.start for title, cell in zip(titled, cells, strict=True)}
    return [_comparison(number, title, groups, starts) for number, (title, groups) in enumerate(found)]


def corrupted_split(group: Group) -> str | None:
    """Where the group was measured under single corruptions: on test clouds if it was; None if nowhere."""
    splits = {metric.split("/")[0] for metric in group.metrics if _is_of_a_severity(metric)}
    ranked = ("test", "corrupted-test", "validation", "corrupted-validation")
    return min(splits, key=ranked.index, default=None)


def clouds_met(group: Group, split: str) -> str:
    """The hash of the suite whose corruptions of `split` the group met, "" where none was noted."""
    return group.records[0].notes.get(HASHES.get(split, "suite hash"), "")


def _is_of_a_severity(metric: str) -> bool:
    """Whether it is `<split>/<corruption>/<severity>/accuracy`; a part of an object may have a slash too."""
    path = metric.split("/")
    return len(path) == 4 and path[2].isdecimal() and path[3] == "accuracy"


def _table(group: Group, split: str) -> CorruptionTable:
    paths = [metric.split("/") for metric in group.metrics if metric.startswith(f"{split}/")]
    severities = sorted({int(path[2]) for path in paths if _is_of_a_severity("/".join(path))})
    measures = {f"severity {severity}": f"{severity}/accuracy" for severity in severities}
    measures |= {"mean": "accuracy"}
    measures |= {name: name for name in RATIOS if any(path[-1] == name for path in paths)}
    return CorruptionTable(
        group,
        tuple(measures),
        tuple(
            (corruption, tuple(_cell(group, f"{split}/{corruption}/{name}") for name in measures.values()))
            for corruption in _corruptions(group, split)
        ),
        _notes(group),
    )


def _corruptions(group: Group, split: str) -> list[str]:
    of_severities = filter(_is_of_a_severity, group.metrics)
    return sorted({metric.split("/")[1] for metric in of_severities if metric.startswith(f"{split}/")})


def _titled(groups: Sequence[tuple[str, Group]]) -> dict[str, Group]:
    """Groups by title, in their order; where titles are equal, by what was done too."""
    titles = [title for title, _ in groups]
    return {
        title if titles.count(title) == 1 else f"{title}, {group.records[0].run}": group
        for title, group in groups
    }


def _by_clouds(groups: Mapping[str, Group]) -> Iterator[dict[str, Group]]:
    """Those that were measured under corruptions, together where they met the same clouds; what has habits of
    released code by itself."""
    found: dict[tuple[str, str, bool], dict[str, Group]] = {}
    for title, group in groups.items():
        split = corrupted_split(group)
        if split is not None:
            is_legacy = group.protocol.startswith(LEGACY)
            key = (split.removeprefix("corrupted-"), clouds_met(group, split), is_legacy)
            found.setdefault(key, {})[title] = group
    return iter(found.values())


def _comparison(
    number: int, title: str, groups: Mapping[str, Group], starts: Mapping[str, str]
) -> CorruptionComparison:
    """One radar for all while there are colours enough, else one for each start."""
    splits = {name: _require(corrupted_split(group)) for name, group in groups.items()}
    corruptions = list(
        dict.fromkeys(c for name, group in groups.items() for c in _corruptions(group, splits[name]))
    )
    measures = {corruption: f"{corruption}/accuracy" for corruption in corruptions} | {"mean (mOA)": "mOA"}
    rows = [
        (name, tuple(_cell(group, f"{splits[each]}/{metric}") for each, group in groups.items()))
        for name, metric in measures.items()
    ]
    lines = {
        name: [group.values(f"{splits[name]}/{corruption}/accuracy") for corruption in corruptions]
        for name, group in groups.items()
    }
    families: dict[str, Lines] = {"": lines}
    if len(lines) > len(SERIES):
        families = {
            start: {name: line for name, line in lines.items() if starts.get(name, "") == start}
            for start in dict.fromkeys(starts.get(name, "") for name in lines)
        }
    pictures = [
        picture
        for place, family in enumerate(families.values())
        for picture in radar(f"radar-{number}-{place}", corruptions, family)
    ]
    return CorruptionComparison(
        title=title,
        columns=tuple(groups),
        rows=tuple(rows) if len(groups) > 1 else (),
        pictures=tuple(pictures),
        numbers=tuple(
            _numbers(each, name, group.values(f"{splits[each]}/{metric}"))
            for each, group in groups.items()
            for name, metric in measures.items()
            if group.values(f"{splits[each]}/{metric}")
        ),
    )


def _numbers(classifier: str, corruption: str, values: Sequence[float]) -> Row:
    found = summarise(values)
    return {
        "classifier": classifier,
        "corruption": corruption,
        "mean": found.mean,
        "deviation": "" if found.deviation is None else found.deviation,
        "seeds": float(found.count),
    }


def _require(split: str | None) -> str:
    assert split is not None, "only groups with one are compared"
    return split


def _cell(group: Group, metric: str) -> str:
    return summary(group, metric) if group.values(metric) else ""


def _notes(group: Group) -> tuple[tuple[str, str], ...]:
    """What the records note of their clouds; where seeds differ, as their content never does, all of it."""
    found = []
    for name in NOTES:
        values = dict.fromkeys(record.notes[name] for record in group.records if name in record.notes)
        if values:
            found.append((name, " · ".join(values)))
    return tuple(found)
