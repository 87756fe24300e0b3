"""Nearest neighbours by looking at every pair of query and point, as many at a time as fit the cache."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from pointlab.geometry.padding import real_rows

_PAIRS_ON_CPU = 2**18
"""Stays in a core's cache; four times as fast as large tensors that the allocator returns each time."""
_PAIRS_ON_GPU = 2**24
"""Keeps a GPU busy within half a gigabyte."""

Found = tuple[Float[Tensor, "batch queries neighbours"], Int64[Tensor, "batch queries neighbours"]]
"""Squared distances, ascending, and the rows of the points they lead to."""

Block = tuple[slice, slice]
"""Some clouds of the batch, and some of their queries."""


def search_all_pairs(
    queries: Float[Tensor, "batch queries 3"],
    points: Float[Tensor, "batch points 3"],
    num_neighbours: int,
    counts: Int64[Tensor, " batch"] | None,
) -> Found:
    """Squared distances and rows of the nearest points of each query, in blocks of clouds and queries."""
    squared = queries.new_empty(*queries.shape[:2], num_neighbours)
    rows = torch.empty_like(squared, dtype=torch.int64)
    for block, distances in distances_in_blocks(queries, points, counts):
        squared[block], rows[block] = _smallest(distances, num_neighbours)
    return squared, rows


def distances_in_blocks(
    queries: Float[Tensor, "batch queries 3"],
    points: Float[Tensor, "batch points 3"],
    counts: Int64[Tensor, " batch"] | None,
) -> Iterator[tuple[Block, Float[Tensor, "_ _ points"]]]:
    """Squared distances to all points, for some queries of some clouds at a time; padding is at infinity."""
    (batch, num_queries, _), num_points = queries.shape, points.shape[1]
    pairs = pairs_at_once(points.device)
    clouds_at_once = max(1, pairs // max(1, num_queries * num_points))
    queries_at_once = max(1, pairs // num_points)
    is_whole = counts is None or bool((counts == num_points).all())
    is_padding = None if is_whole else ~real_rows(points, counts).unsqueeze(1)
    for clouds in _slices(batch, clouds_at_once):
        for asked in _slices(num_queries, queries_at_once):
            distances = squared_distances(queries[clouds, asked], points[clouds])
            if is_padding is not None:
                distances.masked_fill_(is_padding[clouds], torch.inf)
            yield (clouds, asked), distances


def pairs_at_once(device: torch.device) -> int:
    """How many distances to hold at a time."""
    return _PAIRS_ON_CPU if device.type == "cpu" else _PAIRS_ON_GPU


def _slices(length: int, step: int) -> list[slice]:
    return [slice(begin, begin + step) for begin in range(0, length, step)]


def squared_distances(
    queries: Float[Tensor, "batch queries 3"], points: Float[Tensor, "batch points 3"]
) -> Float[Tensor, "batch queries points"]:
    """(x² + y²) + z² of every difference, axis by axis, so that nothing larger than the result is held."""
    query_planes = queries.movedim(2, 0).unsqueeze(3)
    point_planes = points.movedim(2, 0).contiguous().unsqueeze(2)
    squared = query_planes[0] - point_planes[0]
    squared.mul_(squared)
    offsets = torch.empty_like(squared)
    for axis in (1, 2):
        torch.sub(query_planes[axis], point_planes[axis], out=offsets)
        squared.add_(offsets.mul_(offsets))
    return squared


def _smallest(distances: Float[Tensor, "batch queries points"], num_wanted: int) -> Found:
    if num_wanted > 1:
        rows = torch.arange(distances.shape[2], device=distances.device).expand(distances.shape)
        return smallest_by_row(distances, rows, num_wanted)
    if distances.device.type == "cpu":  # NumPy's argmin is vectorised; both return the first of equals
        nearest = torch.from_numpy(distances.numpy().argmin(axis=2, keepdims=True))
    else:
        nearest = distances.argmin(dim=2, keepdim=True)
    return distances.gather(2, nearest), nearest


def smallest_by_row(
    squared: Float[Tensor, "batch queries candidates"],
    rows: Int64[Tensor, "batch queries candidates"],
    num_wanted: int,
) -> Found:
    """The `num_wanted` smallest of each query's candidates, ascending; the lower row wins a tie.

    A float32 that is not negative orders like its bits, so distance and row pack into one integer: sorting
    those is fast, and ties are settled on the way. A float64 leaves no room and takes two stable sorts.
    """
    if squared.dtype == torch.float64:
        order = rows.argsort(dim=2)
        order = order.gather(2, squared.gather(2, order).argsort(dim=2, stable=True))[..., :num_wanted]
        return squared.gather(2, order), rows.gather(2, order)
    keys = squared.view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(rows)
    smallest = _smallest_keys(keys, num_wanted)
    return (smallest >> 32).int().view(torch.float32), smallest & 0xFFFFFFFF


def _smallest_keys(
    keys: Shaped[Tensor, "batch queries candidates"], num_wanted: int
) -> Int64[Tensor, "batch queries neighbours"]:
    if keys.device.type != "cpu":
        return keys.topk(num_wanted, dim=2, largest=False, sorted=True).values
    array = keys.numpy()  # NumPy's partition is vectorised, torch's topk is not
    if num_wanted < keys.shape[2]:
        array.partition(num_wanted - 1, axis=2)
    smallest = keys[..., :num_wanted].contiguous()
    smallest.numpy().sort(axis=2)
    return smallest
