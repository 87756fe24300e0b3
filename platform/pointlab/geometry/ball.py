"""Ball query: the points around a centre within a radius, as PointNet++ groups them.

Qi et al., "PointNet++", NeurIPS 2017, section 3.2. Where a ball holds more points than are wanted, the
first rows are taken, as in the released kernel: its nearest ones would leave the ball's outer part unseen.
Clouds in farthest-point order, that of our shards, are thinned out evenly that way; those in random order, as
augmentation with `random_subset` leaves them, at random.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from pointlab.errors import ConfigError
from pointlab.geometry.all_pairs import distances_in_blocks
from pointlab.geometry.padding import real_rows, require_rows
from pointlab.geometry.sampling import gather_points


@torch.no_grad()
def ball_neighbours(
    points: Float[Tensor, "batch points 3"],
    centres: Int64[Tensor, "batch centres"],
    radius: float,
    num_neighbours: int,
    counts: Int64[Tensor, " batch"] | None = None,
) -> Int64[Tensor, "batch centres neighbours"]:
    """The first `num_neighbours` rows, ascending, that lie nearer than `radius` to each centre.

    `centres` are rows of their clouds, and a centre always lies in its own ball: none is empty, even where
    coordinates are not numbers, or the square of the radius is too small for one. Where a ball holds
    fewer points, its first row is repeated, which leaves a maximum over the ball as it is. Padding is never
    returned. Squared distances are those of `nearest_neighbours`, in the points' own precision (float32 at
    least), as is the square of the radius.
    Raises ConfigError for a radius or a number of neighbours that is not positive.
    """
    if not (radius > 0 and num_neighbours > 0):
        raise ConfigError(
            f"A ball of radius {radius} was asked for {num_neighbours} neighbours.",
            expected="a positive radius and at least one neighbour",
        )
    require_rows(points, counts, 1, "centres")
    assert bool(real_rows(points, counts).gather(1, centres).all()), "a centre lies in the padding"
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    rows = centres.new_empty(*centres.shape, num_neighbours)
    for block, squared in distances_in_blocks(gather_points(points, centres), points, counts):
        is_inside = (squared < radius**2).scatter_(2, centres[block].unsqueeze(2), True)
        rows[block] = _first_rows(is_inside, num_neighbours)
    return rows


def _first_rows(
    is_inside: Bool[Tensor, "batch centres points"], num_wanted: int
) -> Int64[Tensor, "batch centres neighbours"]:
    """The first `num_wanted` rows inside each ball, the very first again in places that are left."""
    num_balls, num_points = is_inside.shape[0] * is_inside.shape[1], is_inside.shape[2]
    pairs = is_inside.flatten().nonzero().squeeze(1)  # ball by ball, rows ascending
    ball = torch.div(pairs, num_points, rounding_mode="floor")
    row = pairs - ball * num_points
    num_inside = torch.bincount(ball, minlength=num_balls)
    begin = num_inside.cumsum(0) - num_inside
    place = torch.arange(len(pairs), device=pairs.device) - begin[ball]
    is_taken = place < num_wanted
    rows = row[begin].unsqueeze(1).repeat(1, num_wanted)
    rows[ball[is_taken], place[is_taken]] = row[is_taken]
    return rows.view(*is_inside.shape[:2], num_wanted)
