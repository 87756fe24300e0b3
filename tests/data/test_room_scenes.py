"""Inside a room: nothing overlaps, doors stay free, and two cameras record what they see, with faults."""

import numpy as np
import pytest
import torch

from pointlab.data.builtin.rooms.furnishing import DOORWAY, ROOM_TYPES
from pointlab.data.builtin.rooms.handheld import MAX_TURN, walk
from pointlab.data.builtin.rooms.scene import SEMANTIC_NAMES, make_scene
from pointlab.data.builtin.rooms.sensing import RANGE, UNIT, make_frame, make_rig, record
from pointlab.data.builtin.rooms.shell import CEILING, FLOOR, WALL, Opening, Shell
from pointlab.data.pictures import decode_depth
from pointlab.geometry.cameras import project
from pointlab.seeding import generator

SHELL = Shell((4.0, 2.5, 6.0), (Opening("door", 1, (-0.5, 0.0), (0.5, 2.0)),), "paint", "wood")


@pytest.fixture(scope="module")
def scenes() -> dict:
    return {kind: make_scene(kind, generator("test", kind)) for kind in ROOM_TYPES}


@pytest.mark.parametrize("kind", ROOM_TYPES)
def test_furniture_stands_inside_the_room_and_apart(scenes, kind):
    scene = scenes[kind]
    assert len(scene.items) >= 3
    assert scene.items[0].name in ROOM_TYPES[kind][0].names
    half = np.array(scene.shell.size) / 2
    for number, item in enumerate(scene.items):
        assert np.all(item.low >= (-half[0], -0.02, -half[2]))
        assert np.all(item.high <= (half[0], 2 * half[1], half[2]))
        for other in scene.items[:number]:
            overlap = np.minimum(item.high, other.high) - np.maximum(item.low, other.low)
            assert overlap.min() < 1e-9
        # on the floor, or on a support that is wholly below it
        below = [o.support for o in scene.items if o.support is not None and o is not item]
        assert item.low[1] < 0.1 or any(
            abs(item.low[1] - top[0, 1]) < 0.01
            and np.all(item.low[[0, 2]] >= top[0, [0, 2]] - 1e-6)
            and np.all(item.high[[0, 2]] <= top[1, [0, 2]] + 1e-6)
            for top in below
        )


@pytest.mark.parametrize("kind", ROOM_TYPES)
def test_nothing_stands_before_the_door(scenes, kind):
    scene = scenes[kind]
    door = next(opening for opening in scene.shell.openings if opening.name == "door")
    along, across = (2, 0) if door.face < 2 else (0, 2)
    wall = scene.shell.size[across] / 2
    for item in scene.items:
        to_wall = wall - item.high[across] if door.face % 2 else wall + item.low[across]
        is_beside = item.low[along] >= door.high[0] or item.high[along] <= door.low[0]
        assert is_beside or to_wall >= DOORWAY


def test_every_item_has_textures_of_its_own(scenes):
    scene = scenes["office"]
    num_surfaces = len(scene.shell.surface_names)
    seen: set[int] = set(range(len(scene.shell.materials)))
    for number, item in enumerate(scene.items):
        own = set(scene.row_skins[scene.instances == num_surfaces + number].tolist())
        assert len(own) <= len(item.materials)
        assert not own & seen
        seen |= own
    assert max(seen) < len(scene.skins.colours)


def test_rays_meet_the_shell_where_the_box_ends():
    rays = np.array([[1.0, 0, 0], [-1, 0, 0], [0, -1, 0], [0, 2, 0], [0, 0, 1], [2, 0, 2]])
    hits = SHELL.trace(np.array([1.0, 1.5, 2.0]), rays)
    np.testing.assert_allclose(hits.distance, [1, 3, 1.5, 0.5, 1, 0.5])
    assert [SHELL.surface_names[k] for k in hits.surfaces] == [
        "wall", "wall", "floor", "ceiling", "wall", "wall",
    ]  # fmt: skip
    assert hits.skins.tolist() == [WALL, WALL, FLOOR, CEILING, WALL, WALL]
    np.testing.assert_array_equal(hits.normals[:3], [[-1, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_a_door_is_met_inside_its_rectangle_and_its_frame_along_the_border():
    targets = np.array(
        [[2.0, 1.0, 0.0], [2.0, 1.97, 0.0], [2.0, 2.1, 0.0], [2.0, 1.0, 0.7], [-2.0, 1.0, 0.0]]
    )
    eye = np.array([0.0, 1.0, 0.0])
    hits = SHELL.trace(eye, targets - eye)
    assert [SHELL.surface_names[k] for k in hits.surfaces] == ["door", "door", "wall", "wall", "wall"]
    assert hits.skins.tolist() == [3, 4, WALL, WALL, WALL]
    assert len(SHELL.materials) == 5


@pytest.mark.parametrize("kind", ["office", "living room"])
def test_labels_are_those_of_the_instances_seen_and_depth_is_true_within_its_noise(scenes, kind):
    scene, rig = scenes[kind], make_rig(80, 60)
    (pose,) = walk(scene, 1, generator("walk", kind))
    recording = record(scene, rig, pose, name="00", noise_scale=1.0, generator=generator("noise"))
    frame, seen = make_frame(scene, recording), scene.look(rig.depth, pose)
    pixels, far = project(torch.from_numpy(frame.points), rig.depth, torch.from_numpy(pose))
    columns, rows = pixels.round().long().numpy().T
    hit = rows * rig.depth.width + columns
    np.testing.assert_array_equal(frame.labels, scene.semantics[seen.instances[hit]])
    np.testing.assert_array_equal(frame.normals, seen.normals[hit])
    error = np.abs(far.numpy() - seen.depth[hit])
    assert 0 < np.median(error) < 0.02
    assert error.max() < 0.5
    names = [*scene.shell.surface_names, *(item.name for item in scene.items)]
    assert [SEMANTIC_NAMES[k] for k in scene.semantics] == names


def test_no_point_is_hidden_from_the_camera_that_gave_its_colour(scenes):
    scene, rig = scenes["dining room"], make_rig(80, 60)
    num_hidden = 0
    for pose in walk(scene, 3, generator("walk", "dining room")):
        recording = record(scene, rig, pose, name="", noise_scale=0.0, generator=generator("noise"))
        colour, depth = recording.view.colour, recording.view.depth
        frame = make_frame(scene, recording)
        pixels, far = project(torch.from_numpy(frame.points), colour.camera, torch.from_numpy(colour.pose))
        columns, rows = pixels.round().long().numpy().T
        seen = recording.by_colour.depth[rows * colour.camera.width + columns]
        assert np.all(far.numpy() < 1.05 * seen)
        num_hidden += int((decode_depth(depth.content, UNIT) > 0).sum()) - len(frame.points)
    assert num_hidden > 10


def test_furniture_hides_the_wall_behind_it_and_lies_where_it_is(scenes):
    """Places that are seen of an item lie on it: within a disc of one of its points."""
    scene, rig = scenes["office"], make_rig(80, 60)
    (pose,) = walk(scene, 1, generator("walk", "office"))
    sight = scene.look(rig.depth, pose)
    num_surfaces = len(scene.shell.surface_names)
    assert np.mean(sight.instances >= num_surfaces) > 0.03
    for number, item in enumerate(scene.items):
        places = sight.points[sight.instances == num_surfaces + number]
        reach = item.size.max()
        assert np.all(places > item.low - reach)
        assert np.all(places < item.high + reach)
    walls = sight.points[sight.instances < num_surfaces]
    to_box = (np.array(scene.shell.size) / 2 - np.abs(walls - (0, scene.shell.size[1] / 2, 0))).min(1)
    np.testing.assert_allclose(to_box, 0, atol=1e-9)


def test_without_noise_depth_is_exact_to_half_a_millimetre_and_with_more_it_is_worse(scenes):
    scene, rig = scenes["bedroom"], make_rig(80, 60)
    (pose,) = walk(scene, 1, generator("walk"))
    errors = []
    for scale in (0.0, 1.0, 4.0):
        recording = record(scene, rig, pose, name="", noise_scale=scale, generator=generator("noise"))
        measured = decode_depth(recording.view.depth.content, UNIT).ravel()
        assert np.all((measured == 0) | ((measured >= RANGE[0] - UNIT) & (measured <= RANGE[1] + UNIT)))
        assert 0.005 < np.mean(measured == 0) < 0.6
        errors.append(np.abs(measured - recording.by_depth.depth)[measured > 0])
    assert errors[0].max() <= 0.0005 + 1e-9
    assert errors[0].mean() < errors[1].mean() < errors[2].mean()


def test_pixels_beside_a_step_in_depth_are_lost_more_often(scenes):
    scene, rig = scenes["office"], make_rig(80, 60)
    (pose,) = walk(scene, 1, generator("walk", "office"))
    recording = record(scene, rig, pose, name="", noise_scale=1.0, generator=generator("noise"))
    lost = decode_depth(recording.view.depth.content, UNIT) == 0
    true = recording.by_depth.depth.reshape(60, 80)
    step = np.abs(np.diff(true, axis=1)) > 0.2
    within = (true[:, 1:] > RANGE[0] + 0.1) & (true[:, 1:] < RANGE[1] - 0.1)
    assert step.sum() > 20
    assert lost[:, 1:][step & within].mean() > 0.4
    assert lost[:, 1:][~step & within].mean() < 0.25


def test_the_camera_stays_in_the_room_and_turns_little_from_view_to_view(scenes):
    for kind, scene in scenes.items():
        poses = walk(scene, 5, generator("path", kind))
        eyes = np.stack([np.linalg.inv(pose)[:3, 3] for pose in poses])
        width, height, depth = scene.shell.size
        assert np.all(np.abs(eyes[:, [0, 2]]) < (width / 2, depth / 2))
        assert np.all((eyes[:, 1] > 0.9) & (eyes[:, 1] < height))
        steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
        assert np.all((steps > 0.1) & (steps < 0.4))
        ahead = np.stack([pose[2, :3] for pose in poses])
        assert np.all(np.degrees(np.arccos((ahead[1:] * ahead[:-1]).sum(1))) < np.degrees(MAX_TURN))
        assert np.all(ahead[:, 1] < 0)


def test_a_scene_is_the_same_picture_on_one_thread_and_on_two(scenes):
    scene, rig = scenes["dining room"], make_rig(80, 60)
    (pose,) = walk(scene, 1, generator("threads"))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            sight = scene.look(rig.colour, pose)
            found.append(sight.depth.tobytes() + sight.instances.tobytes() + scene.colours(sight).tobytes())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
