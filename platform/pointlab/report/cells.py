"""The cells of the page's studies as groups of seeds: what is drawn of several protocols or starts at once.

Figures of one place (a route, a backbone, a number of labels) are of the same clouds, so that they compare.
Those of two studies do not, whatever they call their routes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.experiment.matrix import ALL
from pointlab.report.collect import Material
from pointlab.report.results import Group, suite_of
from pointlab.storage import Record


@dataclass(frozen=True)
class Place:
    """Where cells of several starts and protocols meet."""

    study: str
    """The study's run where the page has several, else ""."""
    route: str
    backbone: str
    labels: str

    @property
    def title(self) -> str:
        """In words."""
        where = f"{self.route}, {self.backbone}, {told_labels(self.labels)}"
        return f"{self.study}: {where}" if self.study else where


@dataclass(frozen=True)
class CellGroup:
    """Finished cells of one start and protocol at one place, which differ in their seed alone."""

    place: Place
    start: str
    protocol: str
    """What the study calls it; `group.protocol` is its stamp."""
    group: Group

    @property
    def is_legacy(self) -> bool:
        """Whether it has habits of released code, which no figure or table mixes with others."""
        return self.group.protocol.startswith(LEGACY)

    @property
    def title(self) -> str:
        """Start and protocol in words."""
        return f"{self.start}, {self.protocol.replace('-', ' ')}"


def cells_by_place(material: Material) -> dict[Place, list[CellGroup]]:
    """The groups of all studies on the page at every place, in the order of their cells."""
    places: dict[Place, list[CellGroup]] = {}
    studies = [record for record in material.records if record.curves.get("cells")]
    for study in studies:
        for cell in _groups(material, study, study.run if len(studies) > 1 else ""):
            places.setdefault(cell.place, []).append(cell)
    return places


def told_labels(labels: str) -> str:
    """How many labels there were, in words."""
    return "all labels" if labels == ALL else f"{labels} labelled training clouds of each class"


def _groups(material: Material, study: Record, name: str) -> Iterator[CellGroup]:
    """Stamps and suites of corruptions are told apart, as in all results."""
    found: dict[tuple[Place, str, str, str, str], list[Record]] = {}
    for row in study.curves["cells"]:
        record = material.cells.get(str(row["run"]))
        if record is not None:
            place = Place(name, *(str(row[level]) for level in ("route", "backbone", "samples_per_class")))
            key = (place, str(row["start"]), str(row["protocol"]), record.protocol, suite_of(record))
            found.setdefault(key, []).append(record)
    for (place, start, protocol, stamp, _), records in found.items():
        group = Group(f"{start}, {place.title}", stamp, tuple(records))
        yield CellGroup(place, start, protocol, group)
