"""The layouts in which RGB-D recordings are published: 7-Scenes, TUM, exports of ScanNet.

Each lists sequences, the frames of one, their poses and the calibration, all from names and small texts.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pointlab.data.catalogue import Card
from pointlab.data.catalogue.scenes import SCANNET, SEVEN_SCENES, TUM_RGBD
from pointlab.data.formats.axes import UpAxis
from pointlab.data.formats.files import read_lists, require_file
from pointlab.data.formats.rgbd_calibration import (
    Calibration,
    Intrinsics,
    Matrix,
    find_calibration,
    read_intrinsics,
    read_numbers,
    require_rigid,
)
from pointlab.data.formats.scannet import list_files, room_of, scene_splits
from pointlab.data.formats.tum_lists import LISTS, read_associations
from pointlab.data.source import Split
from pointlab.errors import DataError

PICTURES = ("jpg", "png")


@dataclass(frozen=True)
class Frame:
    """One colour and one depth picture, and the file of their pose or the pose itself."""

    name: str
    colour: Path
    depth: Path
    pose: Path | Matrix

    def world_from_body(self) -> Matrix | None:
        """The pose; None where tracking was lost, which ScanNet writes as a matrix of -inf."""
        if not isinstance(self.pose, Path):
            return self.pose
        matrix = read_numbers(self.pose)
        if matrix.shape == (4, 4) and not np.isfinite(matrix[:3]).any():
            return None
        return require_rigid(matrix, self.pose)


class Style(ABC):
    """One layout; `up_axis` is that of its worlds."""

    up_axis: ClassVar[UpAxis]
    card: ClassVar[Card]
    example: ClassVar[str]

    @abstractmethod
    def sequences(self, root: Path) -> list[Path]:
        """Folders of the sequences below `root`, sorted."""

    @abstractmethod
    def frames(self, sequence: Path) -> list[Frame]:
        """Frames of a sequence in the order of time."""

    @abstractmethod
    def calibration(self, sequence: Path, root: Path) -> Calibration | None:
        """The cameras, or None where no file tells of them."""

    def split(self, sequence: Path, root: Path) -> Split:  # noqa: ARG002
        """The official split of a sequence; train where there is none."""
        return "train"

    def lists(self, sequence: Path, root: Path) -> list[Path]:  # noqa: ARG002
        """Files, beside pictures and poses, that say which frames and splits there are."""
        return []

    def group(self, sequence: Path, root: Path) -> str:
        """What the sequence belongs to and must not be parted from."""
        return sequence.relative_to(root).as_posix()


class SevenScenes(Style):
    """<scene>/seq-01/frame-000000.{color.png,depth.png,pose.txt}, <scene>/{TrainSplit,TestSplit}.txt."""

    up_axis = "-y"  # roughly: the world is that of a sequence's first camera
    card = SEVEN_SCENES
    example = "seq-01/frame-000000.pose.txt"
    splits: ClassVar[dict[str, Split]] = {"TrainSplit.txt": "train", "TestSplit.txt": "test"}

    def sequences(self, root: Path) -> list[Path]:
        """Folders that hold poses of frames."""
        return sorted({path.parent for path in root.rglob("frame-*.pose.txt")})

    def frames(self, sequence: Path) -> list[Frame]:
        """One frame a pose file, in the order of their numbers."""
        poses = sorted(sequence.glob("frame-*.pose.txt"))
        stems = [path.name.removesuffix(".pose.txt") for path in poses]
        return [
            Frame(
                stem, _picture(sequence, f"{stem}.color"), require_file(sequence / f"{stem}.depth.png"), pose
            )
            for stem, pose in zip(stems, poses, strict=True)
        ]

    def calibration(self, sequence: Path, root: Path) -> Calibration | None:
        """Of the nearest calib.json or camera-intrinsics.txt."""
        return find_calibration(sequence, root)

    def split(self, sequence: Path, root: Path) -> Split:
        """That of the scene's lists, where it has any."""
        present = self.lists(sequence, root)
        for path, lines in zip(present, read_lists(*present), strict=True):
            if _number(sequence.name) in map(_number, lines):
                return self.splits[path.name]
        if not present:
            return "train"
        raise DataError(
            f"{sequence} is in none of {', '.join(path.name for path in present)}.",
            expected="a line such as sequence1 for seq-01",
            remedy="restore both lists, or take this sequence out",
        )

    def lists(self, sequence: Path, root: Path) -> list[Path]:
        """The scene's lists, which lie beside its sequences."""
        files = [sequence.parent / name for name in self.splits] if sequence != root else []
        return [path for path in files if path.is_file()]


class Tum(Style):
    """<sequence>/{rgb.txt,depth.txt,groundtruth.txt} and the folders rgb and depth."""

    up_axis = "z"  # of the motion capture
    card = TUM_RGBD
    example = "rgbd_dataset_freiburg1_desk/groundtruth.txt"
    unit = 1 / 5000
    kinect = Intrinsics(525.0, 525.0, 319.5, 239.5, (640, 480))
    """The camera of ROS, by which depth was registered to colour; the set's authors advise to use it."""

    def sequences(self, root: Path) -> list[Path]:
        """Folders that hold a groundtruth.txt."""
        return sorted(path.parent for path in root.rglob("groundtruth.txt"))

    def frames(self, sequence: Path) -> list[Frame]:
        """Frames paired by time (see `tum_lists`)."""
        return [Frame(*found) for found in read_associations(sequence)]

    def calibration(self, sequence: Path, root: Path) -> Calibration | None:
        """That of ROS, unless a file gives another."""
        found = find_calibration(sequence, root)
        if found is None:
            return Calibration(self.kinect, self.kinect, unit=self.unit)
        is_json = any(path.suffix == ".json" for path in found.files)
        return found if is_json else Calibration(found.depth, found.colour, unit=self.unit, files=found.files)

    def lists(self, sequence: Path, root: Path) -> list[Path]:  # noqa: ARG002
        """The lists of pictures and poses."""
        return [sequence / name for name in LISTS]


class ScannetExport(Style):
    """<scene>/{color,depth,pose,intrinsic}, of which `intrinsic` holds four matrices."""

    up_axis = "z"
    card = SCANNET
    example = "scene0000_00/pose/0.txt"

    def sequences(self, root: Path) -> list[Path]:
        """Folders that hold a folder `pose`."""
        return sorted(path.parent for path in root.rglob("pose") if path.is_dir())

    def frames(self, sequence: Path) -> list[Frame]:
        """One frame a pose file, in the order of their numbers."""
        poses = sorted((sequence / "pose").glob("*.txt"), key=lambda path: (len(path.stem), path.stem))
        depth = sequence / "depth"
        return [
            Frame(
                pose.stem,
                _picture(sequence / "color", pose.stem),
                require_file(depth / f"{pose.stem}.png"),
                pose,
            )
            for pose in poses
        ]

    def calibration(self, sequence: Path, root: Path) -> Calibration | None:  # noqa: ARG002
        """Of the four matrices in `intrinsic`."""
        folder = sequence / "intrinsic"
        names = ("intrinsic_depth", "intrinsic_color", "extrinsic_depth", "extrinsic_color")
        files = tuple(folder / f"{name}.txt" for name in names)
        body_from_depth, body_from_colour = (require_rigid(read_numbers(path), path) for path in files[2:])
        return Calibration(
            read_intrinsics(files[0]),
            read_intrinsics(files[1]),
            np.linalg.inv(body_from_colour) @ body_from_depth,
            body_from_depth,
            files=files,
        )

    def split(self, sequence: Path, root: Path) -> Split:
        """That of the official lists, where they lie in the root."""
        return scene_splits(root).get(sequence.name, "train")

    def lists(self, sequence: Path, root: Path) -> list[Path]:  # noqa: ARG002
        """The official lists."""
        return list(list_files(root).values())

    def group(self, sequence: Path, root: Path) -> str:  # noqa: ARG002
        """The room that was scanned."""
        return room_of(sequence.name)


STYLES: dict[str, Style] = {"7scenes": SevenScenes(), "tum": Tum(), "scannet": ScannetExport()}


def _picture(folder: Path, stem: str) -> Path:
    """The colour picture of that name, JPEG or PNG."""
    for extension in PICTURES:
        if (folder / f"{stem}.{extension}").is_file():
            return folder / f"{stem}.{extension}"
    return require_file(folder / f"{stem}.{PICTURES[0]}")


def _number(name: str) -> int | None:
    """The number in a name such as seq-01 or sequence1."""
    match = re.search(r"\d+", name)
    return int(match[0]) if match else None
