"""Small batches of clouds in two views, and a small encoder for them."""

from collections.abc import Set as AbstractSet
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from pointlab.backbones import Backbone, Features
from pointlab.backbones.pointwise import Packing
from pointlab.data.sample import PointBatch


def two_views(
    num_clouds: int = 4, num_points: int = 40, seed: int = 0, num_shown: int | None = None
) -> PointBatch:
    """Clouds with labels and normals; the views show points of one stored cloud in different orders.

    With `num_shown`, views are padded: they show only so many points. The last cloud lacks picture and
    caption, and a third of the points of the others a pixel; a fifth of all points has no label.
    """
    draw = torch.Generator().manual_seed(seed)
    stored = torch.randn(num_clouds, num_points, 3, generator=draw)
    labels = torch.arange(num_clouds) % 3
    first, second = (_view(stored, labels, num_shown or num_points, draw) for _ in range(2))
    numbers = torch.arange(num_clouds)
    is_there = numbers < num_clouds - 1
    pictures = torch.randint(256, (num_clouds, 4, 4, 3), generator=draw, dtype=torch.uint8)
    assert first.rows is not None
    return replace(
        first,
        point_labels=(first.rows % 5 - 1).where(first.rows >= 0, -1),
        pictures=pictures * is_there.view(-1, 1, 1, 1),
        picture_numbers=torch.where(is_there, numbers, -1),
        pixels=_pixels(first, is_there),
        captions=torch.where(is_there, 5 + numbers % 2, -1),
        views=(second,),
    )


def _view(stored: Tensor, labels: Tensor, num_shown: int, draw: torch.Generator) -> PointBatch:
    num_clouds, num_points = stored.shape[:2]
    rows = torch.stack([torch.randperm(num_points, generator=draw) for _ in range(num_clouds)])
    points = stored.gather(1, rows.unsqueeze(2).expand(-1, -1, 3))
    points = points * (0.8 + 0.4 * torch.rand(num_clouds, 1, 3, generator=draw))
    normals = nn.functional.normalize(points, dim=2)
    for array, padding in ((points, 0), (normals, 0), (rows, -1)):
        array[:, num_shown:] = padding
    counts = torch.full((num_clouds,), num_shown)
    return PointBatch(points, counts, torch.arange(num_clouds), labels, normals, rows=rows)


def _pixels(batch: PointBatch, is_there: Tensor) -> Tensor:
    """Places in a picture of 4 by 4 pixels, by the stored rows of points."""
    assert batch.rows is not None
    is_seen = (batch.rows % 3 > 0) & (batch.rows >= 0) & is_there.unsqueeze(1)
    places = torch.stack([batch.rows * 0.07, 3 - batch.rows * 0.05], dim=2)
    return torch.where(is_seen.unsqueeze(2), places, -1.0)


def part(batch: PointBatch, first: int, last: int) -> PointBatch:
    """Some clouds of a batch, in both views."""
    held = {field.name: getattr(batch, field.name) for field in fields(batch)}
    taken = {name: value[first:last] for name, value in held.items() if isinstance(value, Tensor)}
    return replace(batch, **taken, views=tuple(part(view, first, last) for view in batch.views))


class SmallEncoder(Backbone):
    """Two layers over the points in double precision, with batch normalisation in between or without."""

    stages = point_stages = ("points",)
    widths, num_features, min_points = (6,), 6, 1

    def __init__(self, *, batch_norm: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm1d(8) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(nn.Linear(3, 8), norm, nn.Tanh(), nn.Linear(8, 6)).double()

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        packing = Packing.of(batch.points, batch.counts)
        rows = self.layers(packing.pack(batch.points.double()))
        return {"points": Features(packing.unpack(rows), batch.points, packing.maximum(rows))}

    def stage_of(self, parameter: str) -> str:
        return "points"
