"""Farthest point sampling against a naive loop, and against a simulation of the pointnet2_ops kernel."""

from functools import partial

import numpy as np
import pytest
import torch

from pointlab.errors import DataError
from pointlab.geometry import farthest_point_sample, gather_points, sampling

SHAPES = ["random", "grid", "duplicates", "one place"]


def make_points(shape, num_points=40, seed=0):
    generator = np.random.default_rng(seed)
    points = {
        "random": lambda: generator.normal(size=(num_points, 3)),
        "grid": lambda: generator.integers(0, 3, size=(num_points, 3)),
        "duplicates": lambda: generator.normal(size=(5, 3))[generator.integers(0, 5, num_points)],
        "one place": lambda: np.ones((num_points, 3)),
    }[shape]()
    return np.asarray(points, dtype=np.float32)


def naive_sample(points, num_samples, start=0):
    """The definition: the unchosen row whose nearest chosen row is farthest, the lowest row of equals."""
    chosen = [start]
    while len(chosen) < num_samples:
        rest = [row for row in range(len(points)) if row not in chosen]
        chosen.append(
            max(rest, key=lambda row: min(squared_distance(points[row], points[c]) for c in chosen))
        )
    return chosen


def squared_distance(a, b):
    x, y, z = (a - b) ** 2
    return (x + y) + z


def kernel_sample(points, num_samples, start=0):
    """The CUDA kernel of pointnet2_ops, thread by thread."""
    num_threads = min(512, 2 ** int(np.log2(len(points))))
    to_chosen = np.full(len(points), 1e10, dtype=np.float32)
    chosen = [start]
    while len(chosen) < num_samples:
        best = [(-1.0, 0)] * num_threads
        for row, point in enumerate(points):
            if float(squared_distance(point, np.zeros(3, np.float32))) <= 1e-3:
                continue
            to_chosen[row] = min(to_chosen[row], squared_distance(point, points[chosen[-1]]))
            if to_chosen[row] > best[row % num_threads][0]:
                best[row % num_threads] = (to_chosen[row], row)
        while len(best) > 1:
            half = len(best) // 2
            best = [a if a[0] >= b[0] else b for a, b in zip(best[:half], best[half:], strict=True)]
        chosen.append(best[0][1])
    return chosen


def pad(clouds):
    padded = torch.zeros(len(clouds), max(map(len, clouds)), 3)
    for row, cloud in enumerate(clouds):
        padded[row, : len(cloud)] = torch.from_numpy(cloud)
    return padded, torch.tensor([len(cloud) for cloud in clouds])


@pytest.mark.parametrize("shape", SHAPES)
def test_chooses_what_the_definition_says(shape):
    points = make_points(shape)
    assert farthest_point_sample(torch.from_numpy(points)[None], 40)[0].tolist() == naive_sample(points, 40)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_row_is_chosen_once_when_all_are_asked_for(shape):
    samples = farthest_point_sample(torch.from_numpy(make_points(shape))[None], 40)
    assert sorted(samples[0].tolist()) == list(range(40))


def test_fewer_samples_are_a_prefix_of_more():
    points = torch.from_numpy(np.stack([make_points("random"), make_points("duplicates")]))
    more = farthest_point_sample(points, 40)
    for num_samples in (1, 2, 17, 39):
        assert torch.equal(farthest_point_sample(points, num_samples), more[:, :num_samples])


@pytest.mark.parametrize("skip_near_origin", [False, True])
def test_padding_changes_nothing_and_is_never_chosen(skip_near_origin):
    clouds = [0.02 * make_points("random", size, seed=size) for size in (12, 33, 40)]
    points, counts = pad(clouds)
    samples = farthest_point_sample(points, 12, counts, skip_near_origin=skip_near_origin)
    for row, cloud in enumerate(clouds):
        alone = torch.from_numpy(cloud)[None]
        assert torch.equal(
            samples[row], farthest_point_sample(alone, 12, skip_near_origin=skip_near_origin)[0]
        )


def test_starts_where_it_is_told():
    points = make_points("random")
    start = torch.tensor([7, 31])
    samples = farthest_point_sample(torch.from_numpy(np.stack([points, points])), 9, start=start)
    assert samples.tolist() == [naive_sample(points, 9, start=7), naive_sample(points, 9, start=31)]


def test_starts_where_it_is_told_when_skipping_too():
    points = 0.04 * make_points("grid")
    samples = farthest_point_sample(
        torch.from_numpy(points)[None], 40, start=torch.tensor([7]), skip_near_origin=True
    )
    assert samples[0].tolist() == kernel_sample(points, 40, start=7)


@pytest.mark.parametrize("row", [-1, 5])
def test_a_start_outside_its_cloud_is_an_error(row):
    points, counts = pad([make_points("random", 9), make_points("random", 5)])
    with pytest.raises(DataError, match=r"cloud 1 .*between 0 and 4"):
        farthest_point_sample(points, 3, counts, start=torch.tensor([8, row]))


def test_the_same_places_are_chosen_whatever_the_order_of_rows():
    points = make_points("random")
    order = np.random.default_rng(1).permutation(40)
    shuffled = torch.from_numpy(points[order])[None]
    start = torch.from_numpy(np.flatnonzero(order == 0))
    assert order[farthest_point_sample(shuffled, 40, start=start)[0]].tolist() == naive_sample(points, 40)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_choose_as_their_float32_values_do(dtype):
    points = torch.from_numpy(make_points("random"))[None].to(dtype)
    assert torch.equal(farthest_point_sample(points, 20), farthest_point_sample(points.float(), 20))


@pytest.mark.parametrize("num_samples", [0, 6])
def test_asking_for_what_a_cloud_does_not_have_is_an_error_that_names_the_number(num_samples):
    points, counts = pad([make_points("random", 5), make_points("random", 9)])
    with pytest.raises(DataError, match="between 1 and 5"):
        farthest_point_sample(points, num_samples, counts)


def test_counts_beyond_the_padded_length_are_an_error():
    with pytest.raises(DataError, match="padded to 9"):
        farthest_point_sample(torch.zeros(1, 9, 3), 2, torch.tensor([10]))


@pytest.mark.parametrize("num_points", [1, 7, 64, 90, 600])
@pytest.mark.parametrize("shape", SHAPES)
def test_skipping_near_the_origin_reproduces_the_kernel(shape, num_points):
    points = 0.04 * make_points(shape, num_points)  # about a third of the random points are passed over
    num_samples = min(num_points, 10_000 // num_points)
    samples = farthest_point_sample(torch.from_numpy(points)[None], num_samples, skip_near_origin=True)
    assert samples[0].tolist() == kernel_sample(points, num_samples)


def test_a_large_cloud_is_ordered_as_by_512_threads():
    points = np.ones((1600, 3), np.float32)
    points[[515, 1027]] = 2  # both of thread 3; 1,024 threads would prefer row 1,027
    samples = farthest_point_sample(torch.from_numpy(points)[None], 2, skip_near_origin=True)
    assert samples[0].tolist() == kernel_sample(points, 2) == [0, 515]


def test_points_near_the_origin_are_replaced_by_repeats_of_an_early_row():
    points = torch.tensor([[[1.0, 0, 0], [0, 0, 0.01], [0, 1, 0], [0, 0, 0]]])
    assert farthest_point_sample(points, 4, skip_near_origin=True).tolist() == [[0, 2, 0, 0]]


def test_a_cloud_at_the_origin_gives_its_first_row_when_skipping():
    assert farthest_point_sample(torch.zeros(2, 6, 3), 3, skip_near_origin=True).tolist() == [[0, 0, 0]] * 2


def test_the_loop_does_not_depend_on_the_vectorised_argmax(monkeypatch):
    points = torch.from_numpy(np.stack([make_points(shape) for shape in SHAPES]))
    expected = farthest_point_sample(points, 40)
    through_torch = partial(torch.argmax, dim=1, keepdim=True)
    monkeypatch.setattr(
        sampling, "_finder_of_first_maximum", lambda values, out: partial(through_torch, values, out=out)
    )
    assert torch.equal(farthest_point_sample(points, 40), expected)


@pytest.mark.parametrize("selection", [(), (4,), (4, 2)])
def test_gathering_is_indexing_and_carries_gradients(selection):
    points = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(5, (3, *selection))
    gathered = gather_points(points, indices)
    assert torch.equal(
        gathered, torch.stack([cloud[rows] for cloud, rows in zip(points, indices, strict=True)])
    )
    assert torch.autograd.gradcheck(gather_points, (points, indices))


def test_an_index_outside_its_cloud_does_not_reach_into_the_next():
    with pytest.raises(AssertionError, match="outside"):
        gather_points(torch.zeros(2, 5, 3), torch.tensor([[5], [0]]))
