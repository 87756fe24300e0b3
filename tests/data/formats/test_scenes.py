"""Scenes and segmented meshes come back as published, with their classes, splits and groups."""

from pathlib import Path

import numpy as np
import pytest

from pointlab.data.catalogue import CATALOGUE, SCENE_CARDS
from pointlab.data.catalogue.scenes import STRAY_CHARACTER
from pointlab.data.formats import PsbParts, S3dis, Scannet
from pointlab.data.formats.axes import to_y_up
from written_clouds import make
from written_scenes import (
    SPOILT,
    room_table,
    write_psb,
    write_s3dis_npy,
    write_s3dis_raw,
    write_scannet,
    write_scannet_lists,
)

WALL, OTHER, CURTAIN = 0, 19, 13
CEILING, CHAIR, CLUTTER = 0, 8, 12


def test_npy_rooms_come_back_upright_with_colours_classes_and_the_test_area(tmp_path: Path) -> None:
    write_s3dis_npy(tmp_path)
    source = S3dis()
    index = source.index(tmp_path)
    assert [(row.file, row.split, row.group) for row in index.rows] == [
        ("Area_1_hallway_2.npy", "train", "Area_1/hallway_2"),
        ("Area_1_office_1.npy", "train", "Area_1/office_1"),
        ("Area_5_hallway_6.npy", "test", "Area_5/hallway_6"),
    ]
    assert (len(index.part_names), index.is_grouped, index.class_names) == (13, True, ())
    assert [row.split for row in S3dis(test_area=1).index(tmp_path).rows] == ["test", "test", "train"]
    office = source.read(tmp_path, index.rows)[1]
    table = room_table(0, num_points=13)
    np.testing.assert_array_equal(office.points, to_y_up(table[:, :3], "z"))
    np.testing.assert_allclose(office.colours, table[:, 3:] / 255, atol=1e-7)
    np.testing.assert_array_equal(office.point_labels, np.arange(13))
    assert office.label is None


def test_raw_rooms_join_their_objects_and_count_stairs_as_clutter(tmp_path: Path) -> None:
    write_s3dis_raw(tmp_path)
    source = S3dis(form="raw")
    index = source.index(tmp_path)
    assert [(row.file, row.split, row.group) for row in index.rows] == [
        ("Area_1/hallway_2/Annotations", "train", "Area_1/hallway_2"),
        ("Area_1/office_1/Annotations", "train", "Area_1/office_1"),
        ("Area_5/hallway_6/Annotations", "test", "Area_5/hallway_6"),
    ]
    assert len(index.files) == 12
    (room,) = source.read(tmp_path, index.rows[:1])
    expected = np.concatenate([room_table(seed) for seed in range(4)])
    np.testing.assert_allclose(room.points, to_y_up(expected[:, :3], "z"), atol=6e-4)  # three decimals
    np.testing.assert_allclose(room.colours, expected[:, 3:] / 255, atol=1e-7)
    np.testing.assert_array_equal(room.point_labels, np.repeat([CEILING, CHAIR, CHAIR, CLUTTER], 5))


def test_the_stray_character_of_s3dis_is_mended_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_s3dis_raw(tmp_path)
    assert b"\0" in (tmp_path / SPOILT).read_bytes()
    source = S3dis(form="raw")
    index = source.index(tmp_path)
    assert index.defects == {STRAY_CHARACTER: 1}
    assert STRAY_CHARACTER in index.card.known_defects
    first, spoilt = source.read(tmp_path, [index.rows[0], index.rows[2]])
    np.testing.assert_array_equal(spoilt.points, first.points)
    np.testing.assert_array_equal(spoilt.colours, first.colours)
    assert SPOILT in caplog.text
    assert caplog.text.count(STRAY_CHARACTER) == 1
    (tmp_path / SPOILT).write_text((tmp_path / SPOILT).read_text().replace("\0", " "))
    assert source.index(tmp_path).defects == {}


def test_scannet_scenes_come_back_with_the_twenty_classes_and_minus_one_elsewhere(tmp_path: Path) -> None:
    write_scannet(tmp_path)
    source = Scannet()
    index = source.index(tmp_path)
    clouds = source.read(tmp_path, index.rows)
    assert (len(index.part_names), index.class_names) == (20, ())
    assert [index.part_names[place] for place in (WALL, CURTAIN, OTHER)] == [
        "wall",
        "curtain",
        "other furniture",
    ]
    np.testing.assert_array_equal(clouds[0].point_labels, np.resize([WALL, OTHER, -1, -1, -1, CURTAIN], 12))
    np.testing.assert_array_equal(clouds[3].point_labels, np.full(12, -1))
    written = make(12, 0)
    np.testing.assert_array_equal(clouds[0].points, to_y_up(written.points, "z"))
    np.testing.assert_allclose(clouds[0].colours, written.colours / 255, atol=1e-7)
    assert clouds[0].normals is None


def test_scans_of_one_room_are_one_group_and_lists_give_the_splits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_scannet(tmp_path)
    index = Scannet().index(tmp_path)
    assert [(row.split, row.group) for row in index.rows] == [
        ("train", "scene0000"),
        ("train", "scene0000"),
        ("train", "scene0007"),
        ("test", "scene0707"),
    ]
    assert index.is_grouped
    write_scannet_lists(tmp_path)
    index = Scannet().index(tmp_path)
    assert [row.split for row in index.rows] == ["train", "train", "validation", "test"]
    assert "1 of 5 listed scenes" in caplog.text
    assert "scannetv2_val.txt" in index.files
    (tmp_path / "Tasks" / "Benchmark").mkdir(parents=True)
    for path in tmp_path.glob("scannetv2_*.txt"):
        path.rename(tmp_path / "Tasks" / "Benchmark" / path.name)
    assert [row.split for row in Scannet().index(tmp_path).rows] == ["train", "train", "validation", "test"]


def test_segmented_meshes_give_each_point_the_part_of_its_face(tmp_path: Path) -> None:
    write_psb(tmp_path)
    source = PsbParts(num_points=300)
    index = source.index(tmp_path)
    assert index.class_names == ("Chair", "Table")
    cloud = source.read(tmp_path, index.rows)[0]
    names = [index.part_names[label] for label in cloud.point_labels]
    expected = ["Chair:support" if up > 0.5 else "Chair:leg" for up in cloud.normals[:, 1]]
    assert names == expected
    assert {"Chair:support", "Chair:leg"} == set(names)


def test_every_third_mesh_of_a_class_by_number_is_for_testing(tmp_path: Path) -> None:
    write_psb(tmp_path)
    rows = PsbParts().index(tmp_path).rows
    assert [(row.file, row.split, row.label) for row in rows] == [
        ("Chair/2.off", "train", 0),
        ("Chair/10.off", "train", 0),
        ("Chair/11.off", "test", 0),
        ("Table/5.off", "train", 1),
    ]
    assert {row.split for row in PsbParts(test_every=0).index(tmp_path).rows} == {"train"}
    assert len(PsbParts().index(tmp_path).files) == 8


def test_parts_of_a_set_of_ones_own_may_be_named(tmp_path: Path) -> None:
    write_psb(tmp_path)
    names = ("Chair:leg", "Chair:support", "Table:leg", "Table:support")
    source = PsbParts(part_names=names, num_points=64)
    index = source.index(tmp_path)
    assert index.part_names == names
    table = source.read(tmp_path, index.rows[3:])[0]
    assert set(table.point_labels.tolist()) == {2, 3}


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    write_scannet(tmp_path)
    rows = Scannet().index(tmp_path).rows
    forwards, backwards = Scannet().read(tmp_path, rows), Scannet().read(tmp_path, rows[::-1])
    for cloud, again in zip(forwards, backwards[::-1], strict=True):
        np.testing.assert_array_equal(cloud.points, again.points)
    assert Scannet().read(tmp_path, []) == []


@pytest.mark.parametrize("name", [card.name for card in SCENE_CARDS])
def test_cards_say_whose_the_set_is_and_on_what_terms(name: str) -> None:
    card = CATALOGUE[name]
    assert card.citation
    assert card.homepage.startswith("http")
    assert card.licence
    assert card.notice()
