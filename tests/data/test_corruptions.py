"""Corruptions are what the tables of ModelNet-C and ModelNet40-C say, and depend on their key alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pointlab.data.builtin.optics import look_at
from pointlab.data.corruptions import (
    SEVERITIES,
    SUITES,
    CorruptionSuite,
    corrupt,
)
from pointlab.data.corruptions.clusters import draw_cluster_sizes, draw_neighbourhood
from pointlab.data.corruptions.contract import to_unit_box, to_unit_sphere
from pointlab.data.corruptions.density import density_inc
from pointlab.data.corruptions.modelnet_c import MODELNET_C, add_global, add_local, rotate
from pointlab.data.corruptions.noise import background, gaussian, impulse, uniform, upsampling
from pointlab.data.corruptions.transformations import distortion, distortion_rbf, distortion_rbf_inv, rotation
from pointlab.data.corruptions.views import lidar, occlusion, onto_scan_lines, spacing, visible_rows
from pointlab.seeding import generator

NUM_POINTS = 1024
EVERY = [(suite, name) for suite, table in SUITES.items() for name in table]
SUITE = {name: CorruptionSuite(name=name) for name in SUITES}

COUNTS = {
    "scale": (1024,) * 5,
    "jitter": (1024,) * 5,
    "rotate": (1024,) * 5,
    "dropout_global": (768, 640, 512, 384, 256),
    "dropout_local": (924, 824, 724, 624, 524),
    "add_global": (1034, 1044, 1054, 1064, 1074),
    "add_local": (1124, 1224, 1324, 1424, 1524),
    "lidar": (768,) * 5,
    "density_inc": (1024,) * 5,
    "density": (949, 874, 799, 724, 649),
    "cutout": (964, 934, 874, 814, 724),
    "uniform": (1024,) * 5,
    "gaussian": (1024,) * 5,
    "impulse": (1024,) * 5,
    "upsampling": (1228, 1280, 1365, 1536, 2048),
    "background": (1046, 1049, 1053, 1058, 1075),
    "rotation": (1024,) * 5,
    "shear": (1024,) * 5,
    "distortion": (1024,) * 5,
    "distortion_rbf": (1024,) * 5,
    "distortion_rbf_inv": (1024,) * 5,
}
NORMALISED = ("occlusion", "uniform", "impulse", "upsampling", "background", "rotation", "shear")
NORMALISED += ("distortion", "distortion_rbf", "distortion_rbf_inv")


def draw(*key: int | str) -> np.random.Generator:
    return generator("test", *key)


def sphere(num_points: int = NUM_POINTS) -> np.ndarray:
    """Random points of the unit sphere, the last six its poles on the axes."""
    points = draw("sphere").normal(size=(num_points, 3))
    points[-6:] = np.concatenate([np.eye(3), -np.eye(3)])
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def corrupted(suite: str, name: str, severity: int, sample_id: int = 7) -> np.ndarray:
    stored = sphere(2 * NUM_POINTS)
    return corrupt(stored, SUITE[suite], (name, severity), sample_id=sample_id, num_points=NUM_POINTS)


def test_the_suites_hold_seven_and_fifteen_corruptions() -> None:
    assert {name: len(table) for name, table in SUITES.items()} == {"modelnet_c": 7, "modelnet40_c": 15}


@pytest.mark.parametrize(("suite", "name"), EVERY)
def test_every_corruption_gives_finite_single_precision_and_the_table_s_number_of_points(
    suite: str, name: str
) -> None:
    clouds = [corrupted(suite, name, severity) for severity in SEVERITIES]
    assert {cloud.dtype for cloud in clouds} == {np.dtype(np.float32)}
    assert all(np.isfinite(cloud).all() for cloud in clouds)
    if name in COUNTS:
        assert tuple(map(len, clouds)) == COUNTS[name]


@pytest.mark.parametrize(("suite", "name"), EVERY)
def test_a_corruption_depends_on_its_key_and_leaves_its_input(suite: str, name: str) -> None:
    stored = sphere(2 * NUM_POINTS)
    before = stored.copy()
    stored.flags.writeable = False  # as the memory-mapped cache is
    first, again, other = (
        corrupt(stored, SUITE[suite], (name, 3), sample_id=sample_id, num_points=NUM_POINTS)
        for sample_id in (7, 7, 8)
    )
    reseeded = corrupt(
        stored, CorruptionSuite(name=suite, seed=1), (name, 3), sample_id=7, num_points=NUM_POINTS
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, reseeded)
    assert np.array_equal(stored, before)


@pytest.mark.parametrize(("suite", "name"), EVERY)
def test_small_clouds_are_damaged_in_proportion(suite: str, name: str) -> None:
    stored = sphere(2 * NUM_POINTS)
    for severity in SEVERITIES:
        small = corrupt(stored[:128], SUITE[suite], (name, severity), sample_id=7, num_points=64)
        whole = corrupted(suite, name, severity)
        if name != "occlusion":
            assert len(small) == pytest.approx(len(whole) / 16, abs=6)


# --- ModelNet-C -------------------------------------------------------------------------------------------


def test_scale_stretches_within_its_range_and_returns_to_the_unit_sphere() -> None:
    stored = sphere()
    for severity, largest in zip(SEVERITIES, (1.6, 1.7, 1.8, 1.9, 2.0), strict=True):
        points = MODELNET_C["scale"](stored, severity, draw(severity)).astype(np.float64)
        assert np.abs(points.mean(0)).max() < 1e-6
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(1, abs=1e-6)
        extents = np.ptp(points, axis=0) / np.ptp(stored, axis=0)
        assert extents.max() / extents.min() <= largest**2 + 1e-5


def test_jitter_has_the_deviation_of_its_severity() -> None:
    stored = sphere()
    for severity in SEVERITIES:
        noise = MODELNET_C["jitter"](stored, severity, draw(severity)) - stored
        assert noise.std() == pytest.approx(0.01 * severity, rel=0.05)
        assert abs(noise.mean()) < 0.001 * severity


def test_rotate_multiplies_rows_by_an_untransposed_rotation_of_bounded_angles() -> None:
    stored = sphere()
    for severity in SEVERITIES:
        matrix = np.linalg.lstsq(stored, rotate(stored, severity, draw(severity)), rcond=None)[0]
        angles = Rotation.from_matrix(matrix).as_euler("xyz", degrees=True)  # Rz Ry Rx
        assert np.abs(angles).max() <= 6 * severity + 1e-4
        assert np.abs(angles).max() > 0.5
        expected = draw(severity).uniform(-1, 1, 3) * 6 * severity
        assert angles == pytest.approx(expected, abs=1e-3)


def test_dropouts_keep_points_of_the_cloud_once_each() -> None:
    stored = sphere()
    for name in ("dropout_global", "dropout_local"):
        for severity in SEVERITIES:
            kept = MODELNET_C[name](stored, severity, draw(severity))
            distances, rows = cKDTree(stored).query(kept)
            assert distances.max() == 0
            assert len(set(rows.tolist())) == len(kept)


def test_local_dropout_removes_whole_neighbourhoods() -> None:
    """What goes lies at most as far from one of its few centres as the area of as many points reaches."""
    stored = sphere()
    kept = MODELNET_C["dropout_local"](stored, 1, draw("one"))
    gone = stored[cKDTree(kept).query(stored)[0] > 0]
    away = cKDTree(gone).query(gone, 2)[0][:, 1]
    scattered = stored[draw("any").permutation(len(stored))[: len(gone)]]
    assert np.median(away) < 0.5 * np.median(cKDTree(scattered).query(scattered, 2)[0][:, 1])


def test_a_neighbourhood_is_a_drawn_point_and_those_nearest_to_it() -> None:
    stored = sphere(200)
    rows = draw_neighbourhood(stored, 20, draw("here"))
    centre = stored[draw("here").integers(200)]
    nearest = np.argsort(np.linalg.norm(stored - centre, axis=1))[:20]
    assert set(rows.tolist()) == set(nearest.tolist())
    assert len(draw_neighbourhood(stored, 0, draw("none"))) == 0


def test_cluster_sizes_add_up_and_are_one_to_seven() -> None:
    sizes = [draw_cluster_sizes(300, draw("sizes", number)) for number in range(300)]
    assert {int(size.sum()) for size in sizes} == {300}
    numbers = np.bincount([len(size) for size in sizes], minlength=8)
    assert numbers[0] == 0
    assert len(numbers) == 8
    assert numbers[1:].min() > 300 / 7 * 0.5


def test_global_additions_fill_the_unit_ball_uniformly() -> None:
    stored = sphere()
    added = np.concatenate([add_global(stored, 5, draw(number))[1024:] for number in range(80)])
    radii = np.linalg.norm(added, axis=1)
    assert radii.max() <= 1
    assert (radii**3).mean() == pytest.approx(1 / 2, abs=0.02)  # r^3 is uniform
    assert (added**2).mean(0) == pytest.approx([1 / 5] * 3, abs=0.015)
    assert np.array_equal(add_global(stored, 2, draw("same"))[:1024], stored)


def test_local_additions_have_their_deviation_and_outsiders_are_divided_by_their_squared_norm() -> None:
    """Around the origin nothing lies outside; beyond radius 1 a point at radius r lands at 1 / r."""
    inside = add_local(np.zeros((1024, 3), np.float32), 5, draw("inside"))[1024:]
    assert 0.07 < inside.std() < 0.13
    far = np.tile(np.float32([0, 0, 4]), (1024, 1))
    outside = np.linalg.norm(add_local(far, 5, draw("outside"))[1024:], axis=1)
    assert outside.mean() == pytest.approx(1 / 4, abs=0.02)


# --- ModelNet40-C -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NORMALISED)
def test_normalised_corruptions_fill_the_box_of_side_two(name: str) -> None:
    points = corrupted("modelnet40_c", name, 4).astype(np.float64)
    lowest, highest = points.min(0), points.max(0)
    assert np.abs(lowest + highest).max() < 1e-6
    assert (highest - lowest).max() == pytest.approx(2, abs=1e-6)


def undone(points: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`points` before they were put into a box, found from rows that stayed: one scale and one shift."""
    ratio = np.ptp(like, axis=0) / np.ptp(points[: len(like)], axis=0)
    scaled = points * ratio
    return scaled + (like.min(0) - scaled[: len(like)].min(0))


def test_uniform_noise_is_bounded_and_uniform() -> None:
    """Given a cloud of one place among two far poles, what is left around it is the noise alone."""
    far = np.zeros((1024, 3))
    far[:3], far[3:6] = 100, -100
    for severity in SEVERITIES:
        moved = uniform(far, severity, draw(severity)).astype(np.float64) * 100
        noise = moved[6:] - moved[6:].mean(0)
        width = np.ptp(noise, axis=0)
        assert (width <= 0.02 * severity + 1e-4).all()
        assert (width >= 0.0198 * severity).all()
        assert noise.std() == pytest.approx(0.01 * severity / np.sqrt(3), rel=0.05)


def test_gaussian_noise_has_its_deviation_and_is_clipped() -> None:
    stored = np.full((1024, 3), 0.2, np.float32)
    for severity, deviation in zip(SEVERITIES, (0.01, 0.015, 0.02, 0.025, 0.03), strict=True):
        assert gaussian(stored, severity, draw(severity)).std() == pytest.approx(deviation, rel=0.05)
    clipped = gaussian(np.ones((1024, 3), np.float32), 5, draw("edge"))
    assert clipped.max() == 1
    assert (clipped == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_impulse_noise_moves_its_share_of_points_by_a_tenth_along_every_axis() -> None:
    far = np.zeros((1024, 3))
    far[:3], far[3:6] = 100, -100
    for severity, divisor in zip(SEVERITIES, (30, 25, 20, 15, 10), strict=True):
        moved = impulse(far, severity, draw(severity)).astype(np.float64) * 100
        offsets = moved[6:] - np.median(moved[6:], axis=0)
        is_moved = np.abs(offsets).max(1) > 0.05
        assert 1024 // divisor - 6 <= is_moved.sum() <= 1024 // divisor
        assert np.abs(offsets[is_moved]) == pytest.approx(0.1, abs=2e-3)


def test_upsampling_adds_points_near_points() -> None:
    stored = sphere()
    points = undone(upsampling(stored, 5, draw("up")), stored)
    along_an_axis = cKDTree(stored).query(points[1024:], p=np.inf)[0]
    assert points[:1024] == pytest.approx(stored, abs=1e-5)
    assert 0.03 < along_an_axis.max() <= 0.05 + 1e-5


def test_background_noise_fills_the_cube() -> None:
    stored = sphere()
    added = np.concatenate(
        [undone(background(stored, 5, draw(number)), stored)[1024:] for number in range(40)]
    )
    assert np.abs(added).max() <= 1 + 1e-5
    assert (added**2).mean(0) == pytest.approx([1 / 3] * 3, abs=0.03)


def test_density_inc_keeps_whole_neighbourhoods_and_draws_the_rest() -> None:
    stored = sphere(2048)
    for severity in SEVERITIES:
        points = density_inc(stored, severity, draw(severity))
        rows = cKDTree(stored).query(points)[1]
        crowded, rest = rows[: 100 * severity], rows[100 * severity :]
        assert len(set(crowded.tolist())) == 100 * severity
        assert not set(crowded.tolist()) & set(rest.tolist())
        assert len(rest) == 1024 - 100 * severity


def test_density_thins_a_neighbourhood_and_cutout_removes_one() -> None:
    """Three quarters of some point's 100 nearest go, and nothing else; all of some point's 30 nearest go."""
    stored = sphere()
    by_distance = np.argsort(((stored[:, None] - stored) ** 2).sum(2), axis=1)
    is_gone = {}
    for name in ("density", "cutout"):
        kept = SUITES["modelnet40_c"][name](stored, 1, draw(name))
        distances, rows = cKDTree(stored).query(kept)
        assert distances.max() == 0
        is_gone[name] = ~np.isin(np.arange(1024), rows)
    assert is_gone["density"].sum() == 75
    assert is_gone["density"][by_distance[:, :100]].sum(1).max() == 75
    assert is_gone["cutout"].sum() == 60
    assert is_gone["cutout"][by_distance[:, :30]].sum(1).max() == 30


def test_rotation_turns_by_angles_near_the_severity_s() -> None:
    stored = sphere()
    for severity, middle in zip(SEVERITIES, (2.5, 5, 7.5, 10, 15), strict=True):
        turned = rotation(stored, severity, draw(severity))
        matrix = np.linalg.lstsq(np.c_[stored, np.ones(1024)], turned, rcond=None)[0][:3]
        matrix /= np.cbrt(np.linalg.det(matrix))
        angles = np.abs(Rotation.from_matrix(matrix).as_euler("XYZ", degrees=True))  # Rx Ry Rz
        assert (angles >= middle - 2.5 - 1e-3).all()
        assert (angles <= middle + 2.5 + 1e-3).all()


def test_shear_has_four_free_entries_and_leaves_y() -> None:
    stored = sphere()
    for severity in SEVERITIES:
        sheared = SUITES["modelnet40_c"]["shear"](stored, severity, draw(severity))
        matrix = np.linalg.lstsq(np.c_[stored, np.ones(1024)], sheared, rcond=None)[0][:3]
        matrix /= matrix[1, 1]
        assert np.diag(matrix) == pytest.approx([1, 1, 1], abs=1e-4)
        assert matrix[[0, 2], 1] == pytest.approx(0, abs=1e-4)
        free = np.abs([matrix[0, 2], matrix[1, 0], matrix[1, 2], matrix[2, 0]])
        assert (free >= 0.05 * severity - 0.05 - 1e-4).all()
        assert (free <= 0.05 * severity + 0.05 + 1e-4).all()


class Constant(np.random.Generator):
    """A generator whose uniform draws are all the largest there are."""

    def __init__(self) -> None:
        super().__init__(np.random.Philox(0))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return np.full(size, high)


def test_a_deformation_whose_control_points_all_move_alike_is_a_shift_inside_the_cube() -> None:
    """Bernstein polynomials sum to 1, and the lattice's unit is the cube's side, 2. Outside nothing moves."""
    inside = np.array([[0.3, -0.2, 0.5], [-0.9, 0.9, 0.0]])
    outside = np.array([[1.5, 0.0, 0.0], [-1.5, 0.0, 0.0]])
    points = distortion(np.concatenate([inside, outside]), 2, Constant())
    raw = undone_of(points, outside)
    assert raw[:2] == pytest.approx(inside + 2 * 0.2, abs=1e-5)


def undone_of(points: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """`points` before the box, by the x distance of the last two, which stayed at `fixed`."""
    scale = (fixed[0, 0] - fixed[1, 0]) / (points[-2, 0] - points[-1, 0])
    return points * scale + (fixed[0] - points[-2] * scale)


@pytest.mark.parametrize("function", [distortion_rbf, distortion_rbf_inv])
def test_radial_functions_carry_each_control_point_exactly_its_distance(
    function: Callable[..., np.ndarray],
) -> None:
    """Far marks that fix the box cannot be given, so the cloud of all controls is compared up to the box."""
    axis = np.linspace(-1, 1, 5)
    controls = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), 3).reshape(-1, 3)
    for severity in SEVERITIES:
        first, second = draw(severity).uniform(-np.pi, np.pi, (2, 125))
        directions = np.stack(
            [np.cos(first) * np.sin(second), np.sin(first) * np.sin(second), np.cos(second)], 1
        )
        expected = controls + 0.025 * severity * directions
        assert function(controls, severity, draw(severity)) == pytest.approx(to_unit_box(expected), abs=1e-5)


def test_what_is_seen_of_a_sphere_is_its_near_cap() -> None:
    """From distance 3 a unit sphere shows the cap above a third of its radius."""
    points = sphere().astype(np.float64)
    for azimuth in (0.0, 1.3, 2.6):
        view = look_at(np.zeros(3), azimuth, 0.6, 3.0, 0.8 * spacing(points) / 3.0)
        is_seen = np.isin(np.arange(len(points)), visible_rows(points, view))
        is_near = points @ view.eye / 3 > 1 / 3
        assert is_seen[is_near].mean() > 0.85
        assert is_seen[~is_near].mean() < 0.08


def test_a_near_wall_hides_a_far_one() -> None:
    flat = np.c_[draw("wall").uniform(-1, 1, (512, 2)), np.zeros(512)]
    points = np.concatenate([flat, flat])
    points[:512, 2], points[512:, 2] = 0.8, -0.8
    view = look_at(np.zeros(3), 0.0, 0.0, 3.0, 0.8 * spacing(points) / 3.0)
    is_seen = np.isin(np.arange(1024), visible_rows(points, view))
    assert is_seen[:512].all()
    assert is_seen[512:].mean() < 0.15


def test_occlusion_shows_the_severity_s_side() -> None:
    """The mean of the normalised cap points towards one of five azimuths, 72 degrees apart."""
    for severity in SEVERITIES:
        seen = occlusion(sphere(), severity, draw(severity)).astype(np.float64)
        assert len(seen) < 600
        centre = np.linalg.lstsq(np.c_[2 * seen, np.ones(len(seen))], (seen**2).sum(1), rcond=None)[0][
            :3
        ]  # of the sphere that the cap is a part of
        towards = seen.mean(0) - centre
        azimuth = np.degrees(np.arctan2(towards[0], towards[2]))
        assert abs((azimuth - 72 * severity + 180) % 360 - 180) < 40


def test_occlusion_hides_among_all_stored_points_and_shows_at_most_as_many_as_asked() -> None:
    suite, stored = SUITE["modelnet40_c"], sphere(4 * NUM_POINTS)
    few, many = (
        corrupt(cloud, suite, ("occlusion", 2), sample_id=7, num_points=NUM_POINTS)
        for cloud in (stored[:NUM_POINTS], stored)
    )
    assert len(few) < 0.6 * NUM_POINTS
    assert len(many) == NUM_POINTS
    assert len(np.unique(many, axis=0)) == NUM_POINTS
    assert many == pytest.approx(to_unit_box(many), abs=1e-6)


def test_lidar_returns_lie_on_lines_one_degree_apart() -> None:
    view = look_at(np.zeros(3), 0.4, np.radians(22.5), 5.0, 0.01)
    points = sphere().astype(np.float64)
    returns = onto_scan_lines(points, view)
    right, up, forward = view.axes @ (returns - view.eye).T
    degrees = np.degrees(np.arctan2(up, np.hypot(right, forward)))
    assert degrees == pytest.approx(np.round(degrees), abs=1e-9)
    assert 0.4 < len(returns) / len(points) < 0.6
    assert cKDTree(points).query(returns)[0].max() <= np.radians(0.25) * 6
    assert len(onto_scan_lines(points[:1], view)) == 1


def test_repeated_points_are_seen_like_any_others() -> None:
    """A cloud filled up by repetition has no spacing of its own, in the median."""
    repeated = np.repeat(sphere(64), 16, axis=0)
    for function in (occlusion, lidar):
        points = function(repeated, 1, draw("repeated"))
        assert np.isfinite(points).all()
        assert 1 < len(np.unique(points, axis=0)) < 64


def test_lidar_draws_its_returns_from_what_is_seen() -> None:
    returns = lidar(sphere(), 2, draw("lidar"))
    assert len(np.unique(returns, axis=0)) < 400
    assert np.linalg.norm(returns, axis=1) == pytest.approx(1, abs=0.05)


def test_normalisations_are_those_of_their_benchmarks() -> None:
    points = sphere() * np.float32([1, 0.5, 0.2]) + np.float32([3, -1, 2])
    ball, box = to_unit_sphere(points), to_unit_box(points)
    assert np.linalg.norm(ball, axis=1).max() == pytest.approx(1, abs=1e-6)
    assert ball.mean(0) == pytest.approx([0, 0, 0], abs=1e-6)
    assert np.ptp(box, axis=0) == pytest.approx([2, 1, 0.4], abs=1e-5)
    assert box.max(0) + box.min(0) == pytest.approx([0, 0, 0], abs=1e-6)
