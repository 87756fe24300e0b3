"""Few-shot folds of ModelNet40: a pickle of `way` classes, each with `shot` training and 20 test clouds.

The folds of Point-BERT (Yu et al., CVPR 2022), on which later papers compare. `ModelNetFewshot` holds

    5way_10shot/0.pkl ... 9.pkl     {"train": [(points, label, original class), ...], "test": [...]}
    5way_20shot/ 10way_10shot/ 10way_20shot/

with (8192, 6) points and normals, labels from 0 to way - 1 and classes of ModelNet40. Some copies lack the
underscore in the folders' names. Pickles are never executed (`pickles`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, PositiveInt

from pointlab.data.catalogue.objects import MODELNET_FEWSHOT
from pointlab.data.formats.axes import UpAxis
from pointlab.data.formats.by_file import read_by_file, require_rows
from pointlab.data.formats.files import require_root
from pointlab.data.formats.labels import require_label
from pointlab.data.formats.modelnet import CLASSES_40, require_points
from pointlab.data.formats.pickled_clouds import load_cloud, misfit, read_integer, require_cloud
from pointlab.data.formats.pickles import read_pickle
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

logger = logging.getLogger(__name__)
SPLITS: tuple[Split, ...] = ("train", "test")
NUM_FOLDS = 10


class ModelNetFewshot(Source):
    """The clouds of one fold, with its own labels, or of all ten; a figure is the mean over the ten folds.

    Of all ten, a cloud that several folds have is there several times, in train for one and in test for
    another: the check at the door says so, and only a protocol that keeps folds apart may read such a set.
    """

    kind: Literal["modelnet_fewshot"] = "modelnet_fewshot"
    way: Literal[5, 10] = 5
    """Classes of a fold; 5, the first setting of the papers."""
    shot: Literal[10, 20] = 10
    """Training clouds a class; 10, the first setting of the papers."""
    fold: int | None = Field(default=0, ge=0, le=9)
    """Which of the ten folds; the first. null: all of them, as groups of a set with ModelNet40's classes, for
    transfers with protocol few_shot."""
    up_axis: UpAxis = "y"
    """As in the official files."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud, a farthest-point sample; None, as released: all."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of both splits, numbered through in each file; no cloud is read."""
        folder = require_root(root, self.kind)
        parent, defects = self._folder(folder)
        numbers = range(NUM_FOLDS) if self.fold is None else [self.fold]
        folds = [self._list(folder, f"{parent}/{number}.pkl") for number in numbers]
        lengths = {length for fold in folds for length in fold.lengths}
        return SourceIndex(
            class_names=CLASSES_40 if self.fold is None else _class_names(folds[0].classes),
            rows=tuple(
                row for fold in folds for row in (fold.rows_among_all if self.fold is None else fold.rows)
            ),
            files=tuple(fold.name for fold in folds),
            points_per_cloud=lengths.pop() if len(lengths) == 1 else None,
            card=MODELNET_FEWSHOT,
            defects=defects,
        )

    def _list(self, folder: Path, name: str) -> "ListedFold":
        """The rows of one file, their labels checked."""
        rows: list[SourceRow] = []
        lengths: set[int] = set()
        originals: dict[int, int] = {}
        samples = _read_samples(folder / name)
        with (folder / name).open("rb") as stream:
            for row, (split, (points, label, original)) in enumerate(samples):
                length = require_cloud(points, folder / name, row).shape[0]
                lengths.add(require_points(folder / name, length, self.num_points))
                value = read_integer(label, stream, folder / name, row)
                require_label(value, folder / name, row, self.way)
                found = read_integer(original, stream, folder / name, row)
                if originals.setdefault(value, found) != found:
                    raise misfit(folder / name, f"two classes of label {value}", "one class a label")
                rows.append(SourceRow(name, row, split, value))
        return ListedFold(name, rows, lengths, self._classes(originals, folder / name))

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with normals where the fold has them."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: self._read_clouds(folder / file, wanted))

    def _folder(self, folder: Path) -> tuple[str, dict[str, int]]:
        """The setting's folder relative to `folder`, and what is wrong with its name."""
        official, other = f"{self.way}way_{self.shot}shot", f"{self.way}way{self.shot}shot"
        for parent in (official, other):
            if (folder / parent).is_dir():
                if parent == official:
                    return parent, {}
                logger.warning("%s lacks an underscore in its name: read as %s", folder / parent, official)
                return parent, {"folder without underscore": 1}
        raise DataError(
            f"{folder} holds no folder {official}.",
            expected=f"a folder {official} with the files 0.pkl to 9.pkl",
            remedy="set `root` to the folder ModelNetFewshot of the release",
        )

    def _classes(self, originals: dict[int, int], path: Path) -> tuple[int, ...]:
        """The classes of ModelNet40 that the fold's labels stand for."""
        if sorted(originals) != list(range(self.way)) or len(set(originals.values())) < self.way:
            raise misfit(path, f"{len(originals)} classes", f"{self.way} different classes, labelled from 0")
        return tuple(
            require_label(originals[label], path, label, len(CLASSES_40)) for label in range(self.way)
        )

    def _read_clouds(self, path: Path, rows: list[SourceRow]) -> list[Cloud]:
        samples = _read_samples(path)
        require_rows(path, len(samples), rows)
        with path.open("rb") as stream:
            return [
                load_cloud(
                    require_cloud(samples[row.row][1][0], path, row.row),
                    stream,
                    row.label,
                    self.num_points,
                    self.up_axis,
                )
                for row in rows
            ]


@dataclass(frozen=True)
class ListedFold:
    """What a file lists: rows with the fold's own labels, the lengths of its clouds, and by label the classes
    of ModelNet40."""

    name: str
    rows: list[SourceRow]
    lengths: set[int]
    classes: tuple[int, ...]

    @property
    def rows_among_all(self) -> list[SourceRow]:
        """The rows with labels of ModelNet40, as the group `fold-<number>`."""
        group = f"fold-{PurePosixPath(self.name).stem}"
        return [replace(row, label=self.classes[row.label or 0], group=group) for row in self.rows]


def _class_names(classes: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(CLASSES_40[number] for number in classes)


def _read_samples(path: Path) -> list[tuple[Split, tuple[Any, Any, Any]]]:
    """All samples of a fold with their splits, those of train first."""
    content = read_pickle(path)
    samples: list[tuple[Split, tuple[Any, Any, Any]]] = []
    for split in SPLITS:
        listed = content.get(split) if isinstance(content, dict) else None
        if not isinstance(listed, list) or not listed:
            raise misfit(path, f"no list of samples of {split}", "a dict of two lists, train and test")
        for sample in listed:
            if not isinstance(sample, tuple | list) or len(sample) != 3:
                raise misfit(path, f"a sample of {split} that is not of three", "(points, label, class)")
            samples.append((split, (sample[0], sample[1], sample[2])))
    return samples
