"""Where clouds come from: a `Source` lists its rows cheaply and reads any of them on demand.

A source is a configuration model (its `kind` names the format) with two methods. `index` looks at file
names and headers only; `read` opens files. Both are plain functions of their arguments, so that rows can
be read by any worker in any order.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pointlab.config import StrictModel
from pointlab.data.catalogue import UNKNOWN, Card
from pointlab.data.sample import Cloud

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One cloud to be read: row `row` of `file` (relative to the root; a made-up name in a built-in set).

    `group` names what belongs together: the scene of a frame, the corruption of a corrupted cloud. Rows of
    one group of `train` stay together when validation is carved from it, where `SourceIndex.is_grouped`.
    """

    file: str
    row: int
    split: Split
    label: int | None
    group: str = ""


@dataclass(frozen=True)
class SourceIndex:
    """What a source holds, learnt without reading its clouds.

    `files` are all the files its content depends on, relative to the root, for provenance and identity.
    `points_per_cloud` is their common length, or None where clouds differ in length. `card` says where the
    set comes from; `defects` counts what is known to be wrong with a release and was dealt with, by name.
    """

    class_names: tuple[str, ...]
    rows: tuple[SourceRow, ...]
    files: tuple[str, ...] = ()
    points_per_cloud: int | None = None
    part_names: tuple[str, ...] = ()
    card: Card = UNKNOWN
    is_grouped: bool = False
    defects: Mapping[str, int] = field(default_factory=dict)


class Source(StrictModel, ABC):
    """A family of datasets in one format."""

    version: ClassVar[int] = 1
    """Raised whenever the clouds that come out change, so that prepared sets are made anew."""
    needs_root: ClassVar[bool] = True
    """Whether there are files to read; a built-in set has none."""
    to_give_pictures: ClassVar[str] = "choose a set that has them, such as the built-in shapes with num_views"
    """What to do where no cloud would have a picture, or none would have a caption."""
    to_give_cameras: ClassVar[str] = "choose a set of RGB-D frames, such as the built-in rooms"
    """What to do where no cloud would have a picture whose camera is known."""
    to_give_captions: ClassVar[str] = "choose a set that has them, such as the built-in shapes"

    @property
    def gives_pictures(self) -> bool | None:
        """Whether any cloud has a colour picture; None where only its files tell.

        Asked before anything is read, by what could do nothing without. Most formats hold points alone.
        """
        return False

    @property
    def gives_cameras(self) -> bool | None:
        """Whether any cloud has a colour picture whose camera is known, so that points have pixels in it.

        None where only its files tell.
        """
        return False

    @property
    def gives_captions(self) -> bool | None:
        """Whether any cloud has a caption; None where only its files tell."""
        return False

    def found_beside(self, root: Path, index: SourceIndex) -> Mapping[str, Any]:  # noqa: ARG002
        """Settings for what lies in the folder beside the clouds and is not asked for yet, as a proposal."""
        return {}

    @abstractmethod
    def index(self, root: Path | None) -> SourceIndex:
        """Rows, classes and files found under `root`; DataError where the layout is not the format's."""

    @abstractmethod
    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, as stored: not cleaned, centred or resampled, but y-up."""
