"""The gallery: a validation cloud of the same classes from every set, so that the shift can be seen.

The clouds come from validation splits; a report reads no test split.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.manifest import DatasetManifest
from pointlab.report.collect import Material
from pointlab.report.views import MAX_POINTS, LabelledCloud, View, view_together
from pointlab.report.wording import role_name
from pointlab.storage import Storage

MAX_CLASSES = 6
MAX_SETS = 6
"""Each set has a WebGL context, of which browsers keep 8 to 16 alive."""
ROLE_ORDER = ("pretraining data", "target", "shifted")


@dataclass(frozen=True)
class SetViews:
    """One cloud per class of a set, None where the set has none of that class."""

    role: str
    dataset: str
    views: tuple[View | None, ...]


@dataclass(frozen=True)
class Gallery:
    """The same classes of several sets, and the sets that could not be shown."""

    classes: tuple[str, ...]
    sets: tuple[SetViews, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class ValidationSet:
    """The validation split of a prepared set, with its manifest."""

    manifest: DatasetManifest
    split: CachedSplit

    def class_names(self) -> list[str]:
        """Classes that the split has clouds of, in the set's order."""
        return [self.manifest.class_names[label] for label in np.unique(self.split.labels) if label >= 0]

    def first_of(self, class_name: str) -> LabelledCloud | None:
        """The first cloud of a class, cut to `MAX_POINTS`; None if there is none."""
        if class_name not in self.manifest.class_names:
            return None
        rows = np.flatnonzero(self.split.labels == self.manifest.class_names.index(class_name))
        if len(rows) == 0:
            return None
        has_parts = bool(self.manifest.part_names) and "point_labels" in self.split.per_point
        names = ("points", "point_labels") if has_parts else ("points",)
        arrays = self.split.arrays(int(rows[0]), names)
        labels = arrays["point_labels"][:MAX_POINTS] if has_parts else ()
        parts = tuple(self.manifest.part_names[label] for label in labels)
        return LabelledCloud(np.array(arrays["points"][:MAX_POINTS]), parts or None)


def build_gallery(storage: Storage, material: Material) -> Gallery:
    """Clouds of at most `MAX_CLASSES` classes from the validation split of every set on the page."""
    roles = dataset_roles(material)
    shown = [name for name in roles if material.clouds_in(name, "validation")][:MAX_SETS]
    sets = [ValidationSet(material.datasets[name], open_split(storage, name, "validation")) for name in shown]
    classes = _shared_classes(sets)
    parts = part_names_of(material)
    by_class = [view_together([one.first_of(name) for one in sets], parts) for name in classes]
    return Gallery(
        classes,
        tuple(
            SetViews(roles[name], name, tuple(views[row] for views in by_class))
            for row, name in enumerate(shown)
        ),
        left_out=tuple(name for name in roles if name not in shown),
    )


def dataset_roles(material: Material) -> dict[str, str]:
    """What each set on the page was used for: pretraining data first, then targets, then shifted sets."""
    roles: dict[str, str] = {}
    for record in material.records:
        for role, name in record.datasets.items():
            roles.setdefault(name, role_name(record.kind, role))
    rank = {role: position for position, role in enumerate(ROLE_ORDER)}
    return dict(sorted(roles.items(), key=lambda item: rank.get(item[1], len(rank))))


def part_names_of(material: Material) -> list[str]:
    """The parts of every set on the page, in the sets' order: what colours go by in all of its sections."""
    return [
        part
        for name in dataset_roles(material)
        if name in material.datasets
        for part in material.datasets[name].part_names
    ]


def _shared_classes(sets: list[ValidationSet]) -> tuple[str, ...]:
    """Classes that most sets have, spread evenly over their list."""
    counts = Counter(name for one in sets for name in one.class_names())
    common = [name for name, count in counts.items() if count == max(counts.values())]
    rows = np.linspace(0, len(common) - 1, min(MAX_CLASSES, len(common))).round().astype(int)
    return tuple(common[row] for row in rows)
