"""What the page holds of a matched frame: parts by name, a first view from where its picture was taken."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pictured import manifest_of
from pointlab.experiment.matched import DISTANCES, METRES, ShownFrame, publish_frames, read_frames
from pointlab.geometry.cameras import centred_pinhole, look_at, project
from pointlab.report.collect import Material
from pointlab.report.matching import UNLABELLED, MatchingSection, matching_sections
from pointlab.report.views import PARTS
from pointlab.report.wording import GAP
from pointlab.storage import Record, Storage, open_storage

EYE = (2.0, 1.5, -3.0)
"""Where the picture was taken from, looking at the origin."""
POINTS = np.random.default_rng(0).uniform(-0.5, 0.5, (60, 3)).astype(np.float32)
WAY = "test/pixel_to_point"


def frame_of(labels: list[int] | None) -> ShownFrame:
    """A box of points, of which the last is not seen."""
    pose = look_at(torch.tensor(EYE, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    pixels, _ = project(torch.from_numpy(POINTS).double(), centred_pinhole(64, 48, 1.0), pose)
    pixels[-1] = -1
    return ShownFrame(
        picture=b"\xff\xd8",
        size=np.array([48, 64]),
        points=POINTS,
        pixels=pixels.float().numpy(),
        features=np.ones((60, 4), np.int8),
        cells=np.ones((3, 4, 4), np.int8),
        scales=np.ones((3, 4), np.float32),
        sampling=np.zeros((2, 2)),
        start=np.zeros(2, np.float32),
        colours=None if labels is None else np.zeros((60, 3), np.uint8),
        labels=None if labels is None else np.array(labels),
    )


def record_of(**notes: str) -> Record:
    row = {"id": "7", "pixel_to_point/median_distance": 0.5, "pixel_to_point/recall_at_10": 0.25}
    return Record(
        run="matched-0123456789-s0",
        kind="match",
        name="matched",
        seed=0,
        protocol="matching/test",
        config={},
        code_version="",
        metrics={f"{WAY}/within_0.1": 0.4, f"{WAY}/chance/within_0.1": 0.1},
        curves={"frames": [row]},
        notes={"intervals": "none", **notes},
        datasets={"data": "rooms"},
    )


def section_of(storage: Storage, record: Record, frame: ShownFrame) -> MatchingSection:
    publish_frames(storage, record.run, {"7": frame})
    manifest = manifest_of("rooms", ()).model_copy(update={"part_names": ("floor", "wall", "chair")})
    (section,) = matching_sections(storage, Material((record,), (record,), {}, {"rooms": manifest}))
    return section


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path))


def test_the_first_view_is_from_where_the_picture_was_taken(storage: Storage) -> None:
    section = section_of(storage, record_of(), frame_of(None))
    x, y, z = np.array(EYE) / np.linalg.norm(EYE)
    view = section.frames[0].numbers["view"]
    assert view["yaw"] == pytest.approx(np.arctan2(x, z), abs=0.1)
    assert view["pitch"] == pytest.approx(np.arcsin(y), abs=0.1)
    assert section.choices == (("similarity", "similarity"),)


def test_parts_have_the_colours_that_they_have_in_every_frame_and_their_names(storage: Storage) -> None:
    section = section_of(storage, record_of(), frame_of([2] * 30 + [-1] * 30))
    numbers: dict[str, Any] = section.frames[0].numbers
    assert section.frames[0].parts == (("no label", UNLABELLED), ("chair", PARTS[2]))
    labels = np.frombuffer(base64.b64decode(numbers["labels"]), "<u2")
    assert labels.tolist() == [1] * 30 + [0] * 30
    assert [value for value, _ in section.choices] == ["similarity", "own", "parts"]


def test_lengths_are_told_in_metres_where_the_set_is(storage: Storage) -> None:
    for notes, unit in (({}, ""), ({DISTANCES: METRES}, f"{GAP}m")):
        section = section_of(storage, record_of(**notes), frame_of(None))
        (row,) = section.figures
        assert row.measure == f"found point within 0.1{unit}"
        assert section.frames[0].numbers["unit"] == unit


def test_frames_are_read_back_as_they_were_stored(storage: Storage) -> None:
    frame = frame_of([1] * 60)
    publish_frames(storage, "matched-0123456789-s0", {"7": frame})
    read = read_frames(storage, "matched-0123456789-s0")["7"]
    for name, value in vars(frame).items():
        np.testing.assert_array_equal(getattr(read, name), value)
