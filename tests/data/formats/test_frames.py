"""RGB-D frames become clouds whose points, colours and views agree to a fraction of a pixel."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointlab.data.catalogue.scenes import LOST_TRACKING
from pointlab.data.formats import RgbdFrames
from pointlab.data.formats.axes import y_up_from
from pointlab.data.formats.depth_cloud import thin
from pointlab.data.formats.rgbd_styles import STYLES
from pointlab.data.sample import Cloud, Picture
from pointlab.geometry.cameras import project
from written_frames import (
    BOX,
    COLOUR_FROM_DEPTH,
    DEPTH,
    RED,
    WALL,
    WRITERS,
    depth_picture,
    pose,
    save_depth,
    write_7scenes,
    write_scannet_export,
    write_tum,
)

NUM_PIXELS = int((depth_picture() > 0).sum())


def read_all(source: RgbdFrames, root: Path) -> list[Cloud]:
    return source.read(root, source.index(root).rows)


def pixels_of(cloud: Cloud, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    pixels, depth = project(
        torch.from_numpy(cloud.points.astype(np.float64)), picture.camera, torch.from_numpy(picture.pose)
    )
    return pixels.numpy(), depth.numpy()


@pytest.mark.parametrize("style", STYLES)
def test_every_point_falls_back_on_its_pixel_with_its_depth(style: str, tmp_path: Path) -> None:
    WRITERS[style](tmp_path)
    for cloud in read_all(RgbdFrames(style=style), tmp_path):
        (view,) = cloud.views
        counts = np.asarray(Image.open(io.BytesIO(view.depth.content)))
        rows, columns = np.nonzero(counts)
        pixels, depth = pixels_of(cloud, view.depth)
        np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=1), rtol=0, atol=1e-4)
        np.testing.assert_allclose(depth, counts[rows, columns] * view.depth.unit, atol=1e-6)


def test_7scenes_points_lie_where_the_pose_says_and_stand_upright(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    source = RgbdFrames(style="7scenes")
    index = source.index(tmp_path)
    cloud = source.read(tmp_path, index.rows[2:3])[0]
    rows, columns = np.nonzero(depth_picture())
    depth = depth_picture()[rows, columns]
    in_camera = np.stack(
        [(columns - DEPTH.cx) / DEPTH.fx * depth, (rows - DEPTH.cy) / DEPTH.fy * depth, depth], axis=1
    )
    world = in_camera @ pose(2)[:3, :3].T + pose(2)[:3, 3]
    np.testing.assert_allclose(cloud.points, world * [1, -1, -1], atol=1e-6)
    same = RgbdFrames(style="7scenes", up_axis="y").read(tmp_path, index.rows[2:3])[0]
    np.testing.assert_allclose(same.points, world, atol=1e-6)


def test_7scenes_lists_give_the_splits_and_sequences_the_groups(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    index = RgbdFrames(style="7scenes").index(tmp_path)
    found = {(row.group, row.split) for row in index.rows}
    assert found == {("seq-01", "train"), ("seq-02", "test"), ("seq-03", "train")}
    assert index.is_grouped
    assert len(index.rows) == 12
    assert len(index.files) == 12 * 3 + 3
    assert {"TrainSplit.txt", "TestSplit.txt", "calib.json"} < set(index.files)
    named = RgbdFrames(style="7scenes", validation_sequences=("seq-03",)).index(tmp_path)
    assert {(row.group, row.split) for row in named.rows} >= {("seq-03", "validation")}


@pytest.mark.parametrize(("stride", "per_cloud", "places"), [(1, 2, [0, 2]), (2, 1, [0, 1]), (3, 2, [0])])
def test_stride_and_frames_per_cloud_choose_the_frames(
    stride: int, per_cloud: int, places: list[int], tmp_path: Path
) -> None:
    write_7scenes(tmp_path)
    source = RgbdFrames(style="7scenes", stride=stride, frames_per_cloud=per_cloud)
    rows = [row for row in source.index(tmp_path).rows if row.file == "seq-01"]
    assert [row.row for row in rows] == places
    names = [[view.name for view in cloud.views] for cloud in source.read(tmp_path, rows)]
    used = [f"frame-{number:06d}" for number in range(0, 4, stride)]
    assert names == [used[first : first + per_cloud] for first in range(0, len(used), per_cloud)]


def test_points_take_no_colour_from_what_hides_them(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    source = RgbdFrames(style="7scenes")
    rows = source.index(tmp_path).rows[:1]
    (cloud,) = source.read(tmp_path, rows)
    depth = pixels_of(cloud, cloud.views[0].depth)[1]
    is_box, is_black = depth < (BOX + WALL) / 2, (cloud.colours == 0).all(axis=1)
    reds = np.all(np.isclose(cloud.colours, np.array(RED) / 255), axis=1)
    assert not (cloud.colours[~is_box, 2] > 0).any()
    assert reds[~is_box & ~is_black].all()
    hidden = is_black & ~is_box & _is_in_picture(cloud)
    assert 10 < hidden.sum() < 0.2 * len(depth)  # the box hides some of the wall from the colour camera
    assert (cloud.colours[is_box, 2] > 0).mean() > 0.9
    (seen,) = RgbdFrames(style="7scenes", uncoloured="drop").read(tmp_path, rows)
    np.testing.assert_array_equal(seen.points, cloud.points[~is_black])


def _is_in_picture(cloud: Cloud) -> np.ndarray:
    camera = cloud.views[0].colour.camera
    columns, rows = np.round(pixels_of(cloud, cloud.views[0].colour)[0]).T
    return (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)


def test_views_carry_the_files_as_they_are_and_the_pose_of_each_camera(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    view = read_all(RgbdFrames(style="7scenes"), tmp_path)[1].views[0]
    stem = tmp_path / "seq-01" / "frame-000001"
    assert view.colour.content == stem.with_suffix(".color.png").read_bytes()
    assert view.depth.content == stem.with_suffix(".depth.png").read_bytes()
    assert (view.colour.unit, view.depth.unit) == (0, 0.001)
    np.testing.assert_allclose(view.colour.pose, COLOUR_FROM_DEPTH @ view.depth.pose, atol=1e-12)
    expected = np.linalg.inv(y_up_from("-y") @ pose(1))
    np.testing.assert_allclose(view.depth.pose, expected, atol=1e-12)


def test_far_and_invalid_depths_make_no_points(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    near = read_all(RgbdFrames(style="7scenes", max_depth=2.0), tmp_path)[0]
    assert len(near.points) == (depth_picture() == BOX).sum()
    depth = depth_picture()
    depth[5, :4] = 65.535
    save_depth(tmp_path / "seq-01/frame-000000.depth.png", depth, 1000)
    for limit in (5.0, None):
        cloud = read_all(RgbdFrames(style="7scenes", max_depth=limit), tmp_path)[0]
        assert len(cloud.points) == NUM_PIXELS - 4


def test_fused_frames_are_thinned_to_one_point_a_voxel_with_a_view_each(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    single = RgbdFrames(style="7scenes").read(tmp_path, RgbdFrames(style="7scenes").index(tmp_path).rows[:2])
    fused = read_all(RgbdFrames(style="7scenes", frames_per_cloud=2, voxel_size=0.2), tmp_path)[0]
    assert [view.name for view in fused.views] == ["frame-000000", "frame-000001"]
    both = np.concatenate([cloud.points for cloud in single])
    cells = {tuple(cell) for cell in np.floor(both / np.float32(0.2)).astype(int).tolist()}
    assert abs(len(fused.points) - len(cells)) <= 2  # float32 moves a point or two over a border
    assert {tuple(point) for point in fused.points.tolist()} <= {tuple(point) for point in both.tolist()}


def test_thinning_keeps_the_point_nearest_to_each_centre_in_order() -> None:
    points = np.array([[0.9, 0.5, 0.5], [-0.2, 0, 0], [0.4, 0.5, 0.5], [5, 5, 5], [-0.6, 0.3, 0.4]])
    np.testing.assert_array_equal(thin(points, 1.0), [2, 3, 4])


def test_tum_pairs_by_time_and_turns_its_quaternions(tmp_path: Path) -> None:
    write_tum(tmp_path)
    source = RgbdFrames(style="tum", up_axis="y")
    index = source.index(tmp_path)
    assert [(row.file, row.row, row.split) for row in index.rows] == [
        ("rgbd_dataset_freiburg1_wall", 0, "train"),
        ("rgbd_dataset_freiburg1_wall", 1, "train"),
    ]
    lists = {f"{index.rows[0].file}/{name}.txt" for name in ("rgb", "depth", "groundtruth")}
    assert lists < set(index.files)
    second = source.read(tmp_path, index.rows)[1]
    world_from_camera = np.linalg.inv(second.views[0].depth.pose)
    expected = np.eye(4)
    expected[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    expected[:3, 3] = [1, 2, 3]
    np.testing.assert_allclose(world_from_camera, expected, atol=1e-12)
    assert second.views[0].depth.unit == 1 / 5000
    assert second.views[0].depth.camera.fx == 525
    assert len(second.points) == NUM_PIXELS
    assert (second.colours.sum(axis=1) > 0).all()  # registered: every point has its own pixel


def test_tum_takes_a_calibration_that_lies_beside_it(tmp_path: Path) -> None:
    write_tum(tmp_path)
    (tmp_path / "camera-intrinsics.txt").write_text("517.3 0 318.6\n0 516.5 255.3\n0 0 1\n")
    view = read_all(RgbdFrames(style="tum"), tmp_path)[0].views[0]
    assert (view.depth.camera.fx, view.depth.camera.cy) == (517.3, 255.3)
    assert view.depth.unit == 1 / 5000


def test_frames_of_scannet_without_a_pose_are_passed_over_and_counted(tmp_path: Path) -> None:
    write_scannet_export(tmp_path)
    source = RgbdFrames(style="scannet")
    index = source.index(tmp_path)
    assert index.defects == {LOST_TRACKING: 2}
    assert [(row.file, row.row, row.group) for row in index.rows] == [
        ("scene0001_00", 0, "scene0001"),
        ("scene0001_00", 2, "scene0001"),
        ("scene0001_01", 0, "scene0001"),
        ("scene0001_01", 2, "scene0001"),
    ]
    both = RgbdFrames(style="scannet", frames_per_cloud=2)
    clouds = both.read(tmp_path, both.index(tmp_path).rows)
    assert [[view.name for view in cloud.views] for cloud in clouds] == [["0", "2"]] * 2


def test_scannet_extrinsics_lead_to_both_cameras_and_lists_to_the_splits(tmp_path: Path) -> None:
    write_scannet_export(tmp_path)
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\nscene0001_01\n")
    source = RgbdFrames(style="scannet", up_axis="y")
    index = source.index(tmp_path)
    assert {row.split for row in index.rows} == {"validation"}
    view = source.read(tmp_path, index.rows[:1])[0].views[0]
    body_from_depth = np.eye(4)
    body_from_depth[0, 3] = 0.05
    np.testing.assert_allclose(view.depth.pose, np.linalg.inv(pose(0) @ body_from_depth), atol=1e-12)
    np.testing.assert_allclose(view.colour.pose, COLOUR_FROM_DEPTH @ view.depth.pose, atol=1e-12)


def test_intrinsics_may_be_given_for_a_release_without_any(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    (tmp_path / "calib.json").unlink()
    source = RgbdFrames(style="7scenes", intrinsics=(30, 31, 15.25, 11.5))
    view = read_all(source, tmp_path)[0].views[0]
    assert (view.depth.camera.fx, view.colour.camera.fy) == (30, 31)
    np.testing.assert_array_equal(view.depth.pose, view.colour.pose)
