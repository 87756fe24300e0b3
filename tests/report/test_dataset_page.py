"""The page on a set shows what its shards and its manifest hold, in one file that loads nothing."""

import base64
import json
import re
import struct
import zlib
from html import unescape
from html.parser import HTMLParser
from math import atan2, degrees, hypot
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.shards import PreparedCloud, decode_clouds, encode_shard
from pointlab.errors import DamagedError, DataError
from pointlab.geometry.cameras import Pinhole
from pointlab.report import build_dataset_page, dataset_sample
from pointlab.report.dataset_page import MAX_CLASSES
from pointlab.report.dataset_sample import NUM_DRAWS, sample_dataset
from pointlab.report.frames import draw_frame
from pointlab.report.views import LabelledCloud, view_together
from pointlab.storage import Storage, publish, read_manifest

CAMERA = Pinhole(width=8, height=6, fx=4.0, fy=4.0, cx=3.5, cy=2.5)
LOOKING_AHEAD = np.diag([1.0, -1.0, -1.0, 1.0])
"""The pose of a camera at the origin of a y-up frame that looks along -z."""


def png(width: int = 8, height: int = 6) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([128]) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def shapes(storage: Storage) -> str:
    return next(name for name in storage.folders("datasets") if name.startswith("shapes-"))


@pytest.fixture
def page(storage: Storage, shapes: str) -> str:
    return build_dataset_page(storage, shapes)


def publish_set(storage: Storage, shapes: str, clouds: list[Cloud], **details: Any) -> str:
    """A set of these training clouds, all else as in `shapes` but for `details`."""
    base = read_manifest(storage, f"datasets/{shapes}")
    assert base is not None
    prepared = [PreparedCloud(number, "", cloud, "kitchen") for number, cloud in enumerate(clouds)]
    contents = {
        "train-00000-of-00001.parquet": encode_shard(prepared, None),
        "splits.json": json.dumps({"train": list(range(len(clouds)))}).encode(),
    }
    own = {"rows": {"train": len(clouds)}, "class_names": (), "part_names": (), **details}
    publish(storage, "datasets/own-0", "dataset", contents, {**base.details, **own})
    return "own-0"


def plot(page: str, name: str) -> list[dict[str, Any]]:
    """Traces of one plot on the page."""
    call = page.index("Plotly.newPlot(", page.index(f'id="{name}"'))
    traces, _ = json.JSONDecoder().raw_decode(page, page.index("[", call))
    return traces


class Attributes(HTMLParser):
    """Every attribute of every element, as (element, attribute, value)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value or "") for name, value in attrs]


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    found = Attributes(page).found
    assert [entry for entry in found if entry[1] in ("src", "srcset", "action")] == []
    assert all(value.startswith(("#", "data:")) for _, name, value in found if name == "href")
    assert {tag for tag, _, _ in found} & {"link", "iframe", "object", "embed"} == set()
    assert any(value.startswith("default-src 'none'") for _, name, value in found if name == "content")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_equal_sets_give_equal_pages_and_every_id_is_on_it_once(
    page: str, storage: Storage, shapes: str
) -> None:
    assert build_dataset_page(storage, shapes) == page
    ids = [value for _, name, value in Attributes(page).found if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for _, name, value in Attributes(page).found if name == "href"}
    assert links <= set(ids)


def test_the_bars_count_the_clouds_of_each_class_and_split(page: str, storage: Storage, shapes: str) -> None:
    manifest = read_manifest(storage, f"datasets/{shapes}")
    assert manifest is not None
    bars = {trace["name"]: trace for trace in plot(page, "plot-classes")}
    assert {split: sum(bar["x"]) for split, bar in bars.items()} == manifest.details["rows"]
    assert bars["train"]["y"] == list(manifest.details["class_names"])
    assert set(bars["train"]["x"]) == {3}


def test_clouds_are_drawn_of_every_class_from_the_split_that_is_shown(storage: Storage, shapes: str) -> None:
    listed = json.loads(storage.read(f"datasets/{shapes}/splits.json"))
    for split in ("train", "test"):
        drawn = sample_dataset(storage, shapes, split).drawn
        assert list(drawn) == list(range(16))
        ids = [cloud.sample_id for clouds in drawn.values() for cloud in clouds]
        assert len(ids) == 16 * (NUM_DRAWS if split == "train" else 1)
        assert set(ids) <= set(listed[split])


def test_the_page_shows_a_scene_for_each_draw_and_a_button_for_each_class(page: str) -> None:
    assert page.count('class="card scene"') == NUM_DRAWS
    assert page.count("data-class=") == 16
    assert all(len(plot(page, f"scene-{number}")) == 16 for number in range(NUM_DRAWS))
    assert page.count("<svg viewBox=") == 16 * NUM_DRAWS


def test_the_test_split_is_looked_at_only_when_asked(storage: Storage, shapes: str, page: str) -> None:
    assert "Random clouds of the train split" in page
    assert "Random clouds of the test split" in build_dataset_page(storage, shapes, "test")


def test_provenance_is_told_and_names_cannot_become_markup(storage: Storage, shapes: str) -> None:
    manifest = read_manifest(storage, f"datasets/{shapes}")
    assert manifest is not None
    card = {
        **manifest.details["card"],
        "title": "A <b>set</b>",
        "terms": "No <script>",
        "citation": "Wu, 2015",
    }
    finding = {"check": "up-axis", "severity": "warning", "count": 2, "of": 3, "sample_ids": [41, 42]}
    name = publish_set(
        storage,
        shapes,
        [Cloud(np.eye(3, dtype=np.float32), 0)],
        class_names=("<i>chair</i>",),
        card=card,
        source_files={"a/<x>.h5": "ab" * 32},
        defects={"stray character": 7},
        dropped={"is an empty cloud": 5},
        findings=[{**finding, "message": "z looks like up"}],
    )
    page = build_dataset_page(storage, name)
    for markup in ("<b>set", "No <script>", "<x>", "<i>chair"):
        assert markup not in page
    text = unescape(page)
    for told in ("Wu, 2015", "a/<x>.h5", "ab" * 32, "stray character", "z looks like up", "2 of 3", "41"):
        assert told in text
    assert re.search(r"left out: is an empty cloud</dt><dd>5", page)


def test_a_set_without_labels_without_findings_is_shown_too(storage: Storage, shapes: str) -> None:
    name = publish_set(storage, shapes, [Cloud(np.eye(3, dtype=np.float32))], findings=[])
    page = build_dataset_page(storage, name)
    assert "no label" in page
    assert "Nothing: no warning and no note." in page
    assert 'id="frames"' not in page


def test_rooms_are_seen_from_above_and_objects_almost_from_their_own_height(
    storage: Storage, shapes: str, page: str
) -> None:
    """Rooms are what has no class; of them one sees the floor, at more than 40 degrees."""
    room = publish_set(storage, shapes, [Cloud(np.eye(3, dtype=np.float32))], findings=[])
    heights = []
    for each in (page, build_dataset_page(storage, room)):
        eye = json.JSONDecoder().raw_decode(each, each.index('"eye":', each.index('id="scene-0"')) + 6)[0]
        heights.append(degrees(atan2(eye["z"], hypot(eye["x"], eye["y"]))))
    assert heights[0] < 25
    assert 40 < heights[1] < 60


def test_more_classes_than_a_page_can_carry_are_counted(storage: Storage, shapes: str) -> None:
    clouds = [Cloud(np.eye(3, dtype=np.float32), label) for label in range(MAX_CLASSES + 2)]
    names = tuple(f"class-{number}" for number in range(MAX_CLASSES + 2))
    page = build_dataset_page(storage, publish_set(storage, shapes, clouds, class_names=names))
    assert "2 further classes are not shown" in page
    assert page.count("data-class=") == MAX_CLASSES


def test_a_large_set_is_known_by_its_first_shards_and_the_page_says_so(
    storage: Storage, shapes: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "first shards" not in page
    monkeypatch.setattr(dataset_sample, "MAX_SHARDS", 1)
    large = build_dataset_page(storage, shapes)
    assert "first shards" in large
    assert sum(sum(trace["x"]) for trace in plot(large, "plot-classes")) == 32 + 16 + 16


def points_at(*pixels: tuple[float, float, float]) -> np.ndarray:
    """Points that the camera sees at these (column, row, depth)."""
    rows = [
        ((column - CAMERA.cx) / CAMERA.fx * depth, -(row - CAMERA.cy) / CAMERA.fy * depth, -depth)
        for column, row, depth in pixels
    ]
    return np.array(rows, dtype=np.float32)


def dots(drawing: str) -> list[tuple[str, str, str]]:
    """Colour, column and row of every dot, in the order of drawing."""
    paths = re.findall(r'<path stroke="(#\w+)" d="([^"]*)"', drawing)
    return [(colour, *dot) for colour, path in paths for dot in re.findall(r"M(-?\d+) (-?\d+)h0", path)]


def test_dots_lie_where_the_camera_sees_the_points_far_ones_first() -> None:
    points = points_at((2, 3, 1.0), (6, 1, 4.0), (1, 5, 2.0), (20, 3, 1.0), (2, 2, -1.0))
    view = View("front", Picture(png(), CAMERA, LOOKING_AHEAD))
    frame = draw_frame(Cloud(points), view, (), "kitchen")
    assert frame is not None
    assert [place for _, *place in dots(frame.drawing)] == [["6", "1"], ["1", "5"], ["2", "3"]]
    assert frame.caption.startswith("3 of 5 points")
    assert f"data:image/png;base64,{base64.b64encode(png()).decode()}" in frame.drawing


def test_dots_have_the_colours_of_their_parts_and_the_legend_names_them() -> None:
    points = points_at((2, 3, 1.0), (6, 1, 1.0), (1, 5, 1.0))
    cloud = Cloud(points, point_labels=np.array([2, 0, -1]))
    view = View("front", Picture(png(), CAMERA, LOOKING_AHEAD))
    frame = draw_frame(cloud, view, ("clutter", "wall", "chair"), "kitchen")
    assert frame is not None
    legend = dict(frame.legend)
    assert sorted(legend) == ["chair", "clutter"]
    found = {(column, row): colour for colour, column, row in dots(frame.drawing)}
    assert found == {("2", "3"): legend["chair"], ("6", "1"): legend["clutter"]}


def test_labels_beyond_the_named_parts_are_shown_by_number(storage: Storage, shapes: str) -> None:
    points = points_at((2, 3, 1.0), (6, 1, 1.0), (1, 5, 1.0))
    view = View("front", Picture(png(), CAMERA, LOOKING_AHEAD))
    cloud = Cloud(points, 0, point_labels=np.array([1, 4, -1]), views=(view,))
    frame = draw_frame(cloud, view, ("wall", "chair"), "kitchen")
    assert frame is not None
    assert [name for name, _ in frame.legend] == ["chair", "part 4"]
    assert len({colour for colour, *_ in dots(frame.drawing)}) == 2
    name = publish_set(storage, shapes, [cloud], class_names=("room",), part_names=("wall", "chair"))
    assert build_dataset_page(storage, name).count("part 4") >= 2  # of the cloud, and of the frame


@pytest.mark.parametrize("unknown", ["camera", "pose", "both"])
def test_a_picture_whose_camera_is_unknown_is_shown_without_points(
    unknown: str, storage: Storage, shapes: str
) -> None:
    nan = float("nan")
    camera = CAMERA if unknown == "pose" else Pinhole(8, 6, nan, nan, nan, nan)
    pose = LOOKING_AHEAD if unknown == "camera" else np.full((4, 4), nan)
    rendering = View("00", Picture(png(), camera, pose))
    clouds = [Cloud(points_at((2, 3, 1.0), (3, 3, 2.0)), 0, views=(rendering,))]
    name = publish_set(storage, shapes, clouds, class_names=("chair",))
    (shard,) = [file for file in storage.files(f"datasets/{name}") if file.endswith(".parquet")]
    (kept,) = decode_clouds(storage.read(f"datasets/{name}/{shard}"))
    (stored,) = kept.cloud.views
    assert stored.colour is not None
    np.testing.assert_array_equal(stored.colour.pose, pose)
    assert np.isnan(stored.colour.camera.fx) == (unknown != "pose")
    page = build_dataset_page(storage, name)
    assert "its camera is unknown" in page
    assert 'href="data:image/png;base64,' in page
    assert '<g class="dots"' not in page


def test_a_view_without_a_colour_picture_shows_its_dots_alone() -> None:
    depth = Picture(png(), CAMERA, LOOKING_AHEAD, unit=0.001)
    frame = draw_frame(Cloud(points_at((2, 3, 1.0))), View("front", depth=depth), (), "kitchen")
    assert frame is not None
    assert "<image" not in frame.drawing
    assert len(dots(frame.drawing)) == 1
    assert draw_frame(Cloud(points_at((2, 3, 1.0))), View("nothing"), (), "kitchen") is None


def test_frames_are_on_the_page_with_their_group(storage: Storage, shapes: str) -> None:
    view = View("frame-7", Picture(png(), CAMERA, LOOKING_AHEAD))
    clouds = [Cloud(points_at((2, 3, 1.0), (3, 3, 2.0), (4, 2, 1.5)), views=(view,)) for _ in range(3)]
    page = build_dataset_page(storage, publish_set(storage, shapes, clouds))
    assert page.count('href="data:image/png;base64,') == 3
    assert "kitchen · frame-7" in page


def test_a_clouds_own_colours_are_shown_rounded_to_five_levels() -> None:
    colours = np.array([[1, 0, 0], [0.98, 0.03, 0], [0, 0, 0.34]], dtype=np.float32)
    (view,) = view_together([LabelledCloud(np.eye(3, dtype=np.float32), None, colours)])
    assert view is not None
    assert [view.colours[shade] for shade in view.shades] == ["#ff0000", "#ff0000", "#00003f"]


def test_a_split_that_is_not_there_and_a_damaged_shard_are_named(storage: Storage, shapes: str) -> None:
    with pytest.raises(DataError, match=r"no 'tset' split.*one of: train, validation, test"):
        build_dataset_page(storage, shapes, "tset")
    with pytest.raises(DataError, match="no prepared set"):
        build_dataset_page(storage, "gone-0")
    shard = next(Path(storage.locate(f"datasets/{shapes}")).glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=shard.name):
        build_dataset_page(storage, shapes)
