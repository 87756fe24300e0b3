"""The cells of the page's studies as groups of seeds: what is drawn of several protocols or starts at once.

Figures of one place (a route, a backbone, a number of labels) are of the same clouds, so that they compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.experiment.matrix import ALL
from pointlab.report.collect import Material
from pointlab.report.results import Group
from pointlab.storage import Record


@dataclass(frozen=True)
class Place:
    """Where cells of several starts and protocols meet."""

    route: str
    backbone: str
    labels: str

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.route}, {self.backbone}, {told_labels(self.labels)}"


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
    for study in material.records:
        for cell in _groups(material, study):
            places.setdefault(cell.place, []).append(cell)
    return places


def told_labels(labels: str) -> str:
    """How many labels there were, in words."""
    return "all labels" if labels == ALL else f"{labels} labelled training clouds of each class"


def _groups(material: Material, study: Record) -> Iterator[CellGroup]:
    """Stamps and suites of corruptions are told apart, as in all results."""
    found: dict[tuple[Place, str, str, str, str], list[Record]] = {}
    for row in study.curves.get("cells", []):
        record = material.cells.get(str(row["run"]))
        if record is not None:
            place = Place(str(row["route"]), str(row["backbone"]), str(row["samples_per_class"]))
            suite = record.notes.get("suite hash", "")
            key = (place, str(row["start"]), str(row["protocol"]), record.protocol, suite)
            found.setdefault(key, []).append(record)
    for (place, start, protocol, stamp, _), records in found.items():
        name = f"{start}, {place.title}"
        yield CellGroup(place, start, protocol, Group(name, stamp, tuple(records)))
