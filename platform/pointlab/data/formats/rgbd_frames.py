"""RGB-D recordings as clouds with views: the depth of one frame, or of some in a row, as points in a world.

Points are in metres, in the world of the recording turned y-up; their colours are those of the pixels that
see them. The pictures come along as files, with poses that map the stored points.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from pointlab.data.catalogue.scenes import LOST_TRACKING
from pointlab.data.formats.axes import UpAxis, y_up_from
from pointlab.data.formats.depth_cloud import points_of_depth, seen_colours, thin
from pointlab.data.formats.files import require_root
from pointlab.data.formats.parsing import parsing
from pointlab.data.formats.rgbd_calibration import Calibration, Intrinsics, Matrix
from pointlab.data.formats.rgbd_styles import STYLES, Frame, Style
from pointlab.data.pictures import decode_colour, decode_depth
from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError


class RgbdFrames(Source):
    """Clouds with colours and views, each of `frames_per_cloud` frames; no labels."""

    kind: Literal["rgbd_frames"] = "rgbd_frames"
    style: Literal["7scenes", "tum", "scannet"]
    """Has no default: the layout of the folder."""
    up_axis: UpAxis | None = None
    """null: z for TUM and ScanNet. 7-Scenes has no rule; -y, its first camera's, is right within some 30°."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy of both cameras, where no file tells them, as in 7-Scenes: 585, 585, 320, 240."""
    frames_per_cloud: PositiveInt = 1
    """One frame is one cloud, as in the papers that teach points by pixels."""
    stride: PositiveInt = 1
    """Every so manieth frame is used; all, as neighbours may be wanted as pairs."""
    max_depth: PositiveFloat | None = 5.0
    """Metres; beyond, structured light is off by centimetres. null: no limit."""
    voxel_size: PositiveFloat = 0.02
    """Metres; grid by which clouds of several frames are thinned, as these repeat each other."""
    uncoloured: Literal["black", "drop"] = "black"
    """Points that the colour camera does not see; black keeps the geometry whole."""
    validation_sequences: tuple[str, ...] = ()
    """Folders of sequences that are for validation, besides those of the official lists; none."""
    test_sequences: tuple[str, ...] = ()
    """The same for testing; none."""

    @property
    def gives_pictures(self) -> bool:
        """One for each frame."""
        return True

    @property
    def gives_cameras(self) -> bool:
        """Those that the recording is calibrated for."""
        return True

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all clouds, by names and poses; frames without a pose are counted and passed over."""
        folder = require_root(root, self.kind)
        rows: list[SourceRow] = []
        files: set[Path] = set()
        num_lost = 0
        for name in self._sequences(folder):
            sequence = folder / name
            split, group = self._split(name, folder), self._style.group(sequence, folder)
            frames = self._frames(sequence)
            usable = [place for place, frame in enumerate(frames) if frame.world_from_body() is not None]
            num_lost += len(frames) - len(usable)
            rows += [SourceRow(name, place, split, None, group) for place in usable[:: self.frames_per_cloud]]
            files.update(self._calibration(sequence, folder).files, self._style.lists(sequence, folder))
            files.update(file for place in usable for file in _files_of(frames[place]))
        return SourceIndex(
            class_names=(),
            rows=tuple(rows),
            files=tuple(sorted(file.relative_to(folder).as_posix() for file in files)),
            card=self._style.card,
            is_grouped=True,
            defects={LOST_TRACKING: num_lost} if num_lost else {},
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with a view for every frame."""
        folder = require_root(root, self.kind)
        sequences = {
            name: (self._frames(folder / name), self._calibration(folder / name, folder))
            for name in {row.file for row in rows}
        }
        return [self._read_cloud(row, *sequences[row.file]) for row in rows]

    @property
    def _style(self) -> Style:
        return STYLES[self.style]

    @cached_property
    def _y_up(self) -> Matrix:
        """The turn from the recorded world to that of the clouds."""
        return y_up_from(self.up_axis or self._style.up_axis)

    def _sequences(self, folder: Path) -> list[str]:
        """Folders of the sequences, relative to the root; DataError without any, or without a named one."""
        names = [path.relative_to(folder).as_posix() for path in self._style.sequences(folder)]
        if not names:
            raise DataError(
                f"{folder} holds no sequence in the style {self.style!r}.",
                expected=f"files such as {self._style.example}",
                remedy="check `root` and `style`",
            )
        unknown = sorted({*self.validation_sequences, *self.test_sequences} - set(names))
        if unknown:
            raise DataError(
                f"{folder} holds no sequence {unknown[0]!r}.",
                expected=f"one of {', '.join(names)}",
                remedy="correct `validation_sequences` or `test_sequences`",
            )
        return names

    def _frames(self, sequence: Path) -> list[Frame]:
        frames = self._style.frames(sequence)[:: self.stride]
        if not frames:
            raise DataError(
                f"{sequence} has no frames with a colour picture, a depth picture and a pose.",
                expected="at least one",
                remedy="unpack it again, or take it out",
            )
        return frames

    def _calibration(self, sequence: Path, folder: Path) -> Calibration:
        found = self._style.calibration(sequence, folder)
        if self.intrinsics is not None:
            camera = Intrinsics(*self.intrinsics)
            return Calibration(camera, camera) if found is None else _with_camera(found, camera)
        if found is None:
            raise DataError(
                f"Nothing in {sequence} or above it tells how its cameras see.",
                expected="a calib.json or a camera-intrinsics.txt",
                remedy="add one, or set `intrinsics`",
            )
        return found

    def _split(self, name: str, folder: Path) -> Split:
        if name in self.test_sequences:
            return "test"
        if name in self.validation_sequences:
            return "validation"
        return self._style.split(folder / name, folder)

    def _read_cloud(self, row: SourceRow, frames: list[Frame], calibration: Calibration) -> Cloud:
        """The points of the frames from place `row.row` on that have a pose, and their views."""
        parts = []
        for frame, pose in self._posed(frames[row.row :]):
            parts.append(self._read_frame(frame, pose, calibration))
            if len(parts) == self.frames_per_cloud:
                break
        points = np.concatenate([points for points, _, _ in parts])
        colours = np.concatenate([colours for _, colours, _ in parts])
        if len(parts) > 1:
            kept = thin(points, self.voxel_size)
            points, colours = points[kept], colours[kept]
        return Cloud(points.astype(np.float32), colours=colours, views=tuple(view for _, _, view in parts))

    def _posed(self, frames: Sequence[Frame]) -> Iterator[tuple[Frame, Matrix]]:
        """Frames with the pose of their body in the cloud's world, without those that have none."""
        for frame in frames:
            world_from_body = frame.world_from_body()
            if world_from_body is not None:
                yield frame, self._y_up @ world_from_body

    def _read_frame(
        self, frame: Frame, points_from_body: Matrix, calibration: Calibration
    ) -> tuple[np.ndarray, np.ndarray, View]:
        """Points and colours of one frame, and its pictures."""
        depth_file, colour_file = _content(frame.depth), _content(frame.colour)
        depth = decode_depth(depth_file, calibration.unit, str(frame.depth))
        if self.max_depth is not None:
            depth[depth > self.max_depth] = 0
        picture = decode_colour(colour_file, str(frame.colour))
        camera = calibration.depth.pinhole(depth.shape[::-1], frame.depth)
        colour_camera = calibration.colour.pinhole(picture.shape[1::-1], frame.colour)
        pose = np.linalg.inv(points_from_body @ calibration.body_from_depth)
        colour_pose = calibration.colour_from_depth @ pose
        is_shared = camera == colour_camera and np.array_equal(colour_pose, pose)
        points = points_of_depth(depth, camera, pose)
        spacing = None if is_shared else max(1.0, colour_camera.fx / camera.fx)
        colours, is_seen = seen_colours(points, picture, colour_camera, colour_pose, spacing)
        if self.uncoloured == "drop":
            points, colours = points[is_seen], colours[is_seen]
        view = View(
            frame.name,
            colour=Picture(colour_file, colour_camera, colour_pose),
            depth=Picture(depth_file, camera, pose, calibration.unit),
        )
        return points, colours, view


def _files_of(frame: Frame) -> list[Path]:
    return [frame.colour, frame.depth, *([frame.pose] if isinstance(frame.pose, Path) else [])]


def _with_camera(found: Calibration, camera: Intrinsics) -> Calibration:
    """The calibration with both cameras replaced, colour registered to depth."""
    return Calibration(camera, camera, body_from_depth=found.body_from_depth, unit=found.unit)


def _content(path: Path) -> bytes:
    with parsing(path, "a picture"):
        return path.read_bytes()
