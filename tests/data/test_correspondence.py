"""Where pictures show points: exact on a scene that is known exactly, and honest about the rest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analytic_scene import BESIDE, CAMERA, UNIT, cast, colour_picture, frame, points_of, pose_from
from pointlab.data.correspondence import UNSEEN, Reason, seen_pixels
from pointlab.data.pictures import decode_depth, encode_depth
from pointlab.data.resampling import normalise
from pointlab.data.sample import Cloud, Picture, View
from pointlab.geometry.cameras import Pinhole, project

SOMEWHERE = pose_from(0.4, 0.1)


def projected(points: np.ndarray, camera: Pinhole, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels, depth = project(torch.from_numpy(points.astype(np.float64)), camera, torch.from_numpy(pose))
    return pixels.numpy(), depth.numpy()


def test_a_point_is_seen_at_the_pixel_that_it_was_measured_at() -> None:
    view = frame(SOMEWHERE)
    points, pixels = points_of(view)
    seen = seen_pixels(points, view)
    assert seen.counts[Reason.SEEN] == len(points) == CAMERA.width * CAMERA.height
    np.testing.assert_allclose(seen.pixels, pixels, atol=1e-4)


def test_it_stays_there_when_the_cloud_is_normalised() -> None:
    view = frame(SOMEWHERE)
    points, pixels = points_of(view)
    stored = normalise(Cloud(points, views=(view,)))
    seen = seen_pixels(stored.points, stored.views[0])
    assert seen.counts[Reason.SEEN] == len(points)
    np.testing.assert_allclose(seen.pixels, pixels, atol=1e-4)


def test_another_camera_sees_what_nothing_hides_from_it() -> None:
    pose = pose_from(0.7, 0.15)
    view = frame(SOMEWHERE, (BESIDE, pose))
    points, _ = points_of(view)
    seen = seen_pixels(points, view)
    pixels, depth = projected(points, BESIDE, pose)
    truly = depth < cast(BESIDE, pose, pixels) + 0.1
    is_seen, is_hidden = seen.reasons == Reason.SEEN, seen.reasons == Reason.HIDDEN
    np.testing.assert_allclose(seen.pixels[is_seen], pixels[is_seen], atol=1e-4)
    assert (seen.pixels[~is_seen] == UNSEEN).all()
    assert (~truly[is_seen]).sum() <= 2  # by less than a pixel
    assert is_hidden.sum() > 30
    assert truly[is_hidden].mean() < 0.3  # beside the outline of the box, in cells that it shares
    assert is_seen.sum() > 0.95 * (truly & (pixels >= -0.5).all(1) & (pixels < (47.5, 35.5)).all(1)).sum()


def test_frames_that_are_fused_hide_points_from_each_other() -> None:
    views = [frame(pose_from(x, 0.1)) for x in (-1.0, 1.2)]
    points = np.concatenate([points_of(view)[0] for view in views])
    for own, view in enumerate(views):
        seen = seen_pixels(points, view)
        assert view.colour is not None
        pixels, depth = projected(points, CAMERA, view.colour.pose)
        is_seen = seen.reasons == Reason.SEEN
        truly = np.full(len(points), fill_value=False)
        truly[is_seen] = depth[is_seen] < cast(CAMERA, view.colour.pose, pixels[is_seen]) + 0.2
        assert is_seen.reshape(2, -1)[own].all()
        assert 100 < is_seen.reshape(2, -1)[1 - own].sum() < 1700
        assert truly[is_seen].mean() > 0.99
        assert seen.counts[Reason.HIDDEN] > 50


def test_every_point_that_is_not_seen_has_its_reason() -> None:
    view = frame(SOMEWHERE)
    assert view.depth is not None
    depth = decode_depth(view.depth.content, UNIT)
    depth[10:, 40] = 0  # not measured
    view = replace(view, depth=replace(view.depth, content=encode_depth(depth, UNIT)))
    rays = np.linalg.inv(SOMEWHERE)

    def point(column: float, row: float, distance: float) -> np.ndarray:
        x, y = (column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy
        return rays[:3, :3] @ (np.array([x, y, 1]) * distance) + rays[:3, 3]

    wall = float(depth[2, 2])
    cases = {
        Reason.SEEN: (2.2, 2, wall),
        Reason.BEHIND: (2, 2, -1),
        Reason.OUTSIDE: (47.6, 2, wall),
        Reason.HIDDEN: (2, 2, wall + 0.3),
        Reason.IN_FRONT: (2, 2, wall - 0.3),
        Reason.UNMEASURED: (40.3, 20, wall),
    }
    points = np.array([point(*case) for case in cases.values()], np.float32)
    seen = seen_pixels(points, view)
    assert seen.reasons.tolist() == list(cases)
    np.testing.assert_allclose(seen.pixels[0], (2.2, 2), atol=1e-4)
    assert (seen.pixels[1:] == UNSEEN).all()


def test_who_took_an_unknown_picture_sees_nothing() -> None:
    points, _ = points_of(frame(SOMEWHERE))
    unknown = Picture(b"", Pinhole(4, 4, *(float("nan"),) * 4), np.full((4, 4), np.nan))
    for view in (View("unknown", unknown), View("depth alone", depth=frame(SOMEWHERE).depth)):
        seen = seen_pixels(points, view)
        assert seen.counts[Reason.NO_CAMERA] == len(points)
        assert (seen.pixels == UNSEEN).all()


def test_without_a_depth_picture_points_hide_each_other() -> None:
    points = np.concatenate([points_of(frame(pose_from(x, 0.1)))[0] for x in (-1.0, 1.2)])
    pose = pose_from(0.1, 0.0)
    seen = seen_pixels(points, View("colour alone", colour_picture(CAMERA, pose)))
    pixels, depth = projected(points, CAMERA, pose)
    is_inside = np.isin(seen.reasons, (Reason.SEEN, Reason.HIDDEN))
    truly = depth[is_inside] < cast(CAMERA, pose, pixels[is_inside]) + 0.1
    is_seen = seen.reasons[is_inside] == Reason.SEEN
    assert (~truly).sum() > 100
    assert is_seen[~truly].mean() < 0.1
    assert is_seen[truly].mean() > 0.7
    np.testing.assert_allclose(seen.pixels[is_inside][is_seen], pixels[is_inside][is_seen], atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_few_points_hide_nothing(count: int) -> None:
    points, _ = points_of(frame(SOMEWHERE))
    seen = seen_pixels(points[:count], View("colour alone", colour_picture(CAMERA, SOMEWHERE)))
    assert seen.counts[Reason.SEEN] == count
