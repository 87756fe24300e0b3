"""What the built-in sets share: rows that are made, not read, each from a generator keyed by its name.

The chairs of the training split are rows 0, 1, 2 ... of a made-up file "shapes/train/chair". A cloud
depends on its stream ("shapes"), split, class and row, on the version and seed of its source, and on nothing
that was made before it; so any worker can make any row, in any order, with equal bits.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pointlab.data.builtin.objects import CLASSES
from pointlab.data.catalogue import BUILT_IN
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.seeding import Key


class GeneratedSource(Source):
    """A set of clouds made from the built-in classes."""

    needs_root: ClassVar[bool] = False
    num_train_per_class: int = Field(default=100, ge=0)
    """100 instances of each class train a small network well, and are made in seconds."""
    num_test_per_class: int = Field(default=25, ge=0)
    """25 of each class bound the error of an accuracy over all classes by about 2.5 points."""
    seed: int = 0
    """Another seed gives other instances of the same classes."""

    @property
    def gives_captions(self) -> bool:
        """Every cloud says what it is of."""
        return True

    @property
    @abstractmethod
    def part_names(self) -> tuple[str, ...]:
        """Names that the point labels of this set index."""

    @property
    @abstractmethod
    def points_per_cloud(self) -> int | None:
        """Points of every cloud, or None where clouds differ."""

    @property
    @abstractmethod
    def stream(self) -> str:
        """Name of the stream of instances; sets of different streams share none."""

    @abstractmethod
    def make(self, class_name: str, key: tuple[Key, ...]) -> Cloud:
        """A cloud of an instance of `class_name`, drawn from generators whose keys begin with `key`."""

    def index(self, root: Path | None) -> SourceIndex:  # noqa: ARG002
        """All classes and rows; there are no files. Only `train` and `test` are listed."""
        sizes: tuple[tuple[Split, int], ...] = (
            ("train", self.num_train_per_class),
            ("test", self.num_test_per_class),
        )
        return SourceIndex(
            class_names=tuple(CLASSES),
            rows=tuple(
                SourceRow(f"{self.stream}/{split}/{name}", row, split, label)
                for split, size in sizes
                for label, name in enumerate(CLASSES)
                for row in range(size)
            ),
            points_per_cloud=self.points_per_cloud,
            part_names=self.part_names,
            card=BUILT_IN,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:  # noqa: ARG002
        """The clouds of `rows`, made afresh; DataError for a row that this set does not have."""
        return [self._read_row(row) for row in rows]

    def _read_row(self, row: SourceRow) -> Cloud:
        stream, _, place = row.file.partition("/")
        split, _, name = place.partition("/")
        if stream != self.stream or split not in ("train", "test") or name not in CLASSES:
            raise DataError(
                f"The built-in set has no file {row.file!r}.",
                expected=f"{self.stream}/<train or test>/<class>, such as {self.stream}/train/chair",
                remedy="take rows from the index of the same source",
            )
        return self.make(name, (stream, self.version, self.seed, split, name, row.row))
