"""Few-shot folds of ModelNet40: a pickle of `way` classes, each with `shot` training and 20 test clouds.

The folds of Point-BERT (Yu et al., CVPR 2022), on which later papers compare. `ModelNetFewshot` holds

    5way_10shot/0.pkl ... 9.pkl     {"train": [(points, label, original class), ...], "test": [...]}
    5way_20shot/ 10way_10shot/ 10way_20shot/

with (8192, 6) points and normals, labels from 0 to way - 1 and classes of ModelNet40. Some copies lack the
underscore in the folders' names. Pickles are never executed (`pickles`).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
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


class ModelNetFewshot(Source):
    """The clouds of one fold, with its own labels; a figure is the mean over the ten folds."""

    kind: Literal["modelnet_fewshot"] = "modelnet_fewshot"
    way: Literal[5, 10] = 5
    """Classes of a fold; 5, the first setting of the papers."""
    shot: Literal[10, 20] = 10
    """Training clouds a class; 10, the first setting of the papers."""
    fold: int = Field(default=0, ge=0, le=9)
    """Which of the ten folds; the first."""
    up_axis: UpAxis = "y"
    """As in the official files."""
    num_points: PositiveInt | None = None
    """The first so many points of each cloud, a farthest-point sample; None, as released: all."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of both splits, numbered through; no cloud is read."""
        folder = require_root(root, self.kind)
        name, defects = self._file(folder)
        samples = _read_samples(folder / name)
        rows: list[SourceRow] = []
        lengths: set[int] = set()
        originals: dict[int, int] = {}
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
        return SourceIndex(
            class_names=self._class_names(originals, folder / name),
            rows=tuple(rows),
            files=(name,),
            points_per_cloud=lengths.pop() if len(lengths) == 1 else None,
            card=MODELNET_FEWSHOT,
            defects=defects,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with normals where the fold has them."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: self._read_clouds(folder / file, wanted))

    def _file(self, folder: Path) -> tuple[str, dict[str, int]]:
        """The fold's file relative to `folder`, and what is wrong with its name."""
        official, other = f"{self.way}way_{self.shot}shot", f"{self.way}way{self.shot}shot"
        for parent in (official, other):
            if (folder / parent).is_dir():
                if parent == official:
                    return f"{parent}/{self.fold}.pkl", {}
                logger.warning("%s lacks an underscore in its name: read as %s", folder / parent, official)
                return f"{parent}/{self.fold}.pkl", {"folder without underscore": 1}
        raise DataError(
            f"{folder} holds no folder {official}.",
            expected=f"a folder {official} with the files 0.pkl to 9.pkl",
            remedy="set `root` to the folder ModelNetFewshot of the release",
        )

    def _class_names(self, originals: dict[int, int], path: Path) -> tuple[str, ...]:
        """Names of the fold's labels, by the classes of ModelNet40 that they stand for."""
        if sorted(originals) != list(range(self.way)) or len(set(originals.values())) < self.way:
            raise misfit(path, f"{len(originals)} classes", f"{self.way} different classes, labelled from 0")
        numbers = [require_label(originals[label], path, label, len(CLASSES_40)) for label in range(self.way)]
        return tuple(CLASSES_40[number] for number in numbers)

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
