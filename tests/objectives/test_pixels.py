"""Features at pixels: upsampling is sampling, in both conventions; a table says what its network would."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pointlab.data.sample import PointBatch
from pointlab.objectives.pixels import KnownMaps, MapNetwork, Maps, PixelProjection, SeenMaps, sampled

HEIGHT, WIDTH = 12, 20


def maps_of(batch: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def every_pixel() -> Tensor:
    """(column, row) of all pixels of a picture, row by row."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([columns, rows], dim=2).flatten(0, 1).double()


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_sampled_map_is_what_upsampling_gives_at_every_pixel(align_corners: bool) -> None:
    """The projection before it included, and the gradients of its weights."""
    torch.manual_seed(0)
    layer, pixels = PixelProjection(3, 4, align_corners=align_corners).double(), every_pixel()
    values = maps_of()
    clouds = torch.arange(2).repeat_interleave(len(pixels))
    found = layer(Maps(values, (HEIGHT, WIDTH), torch.ones(2).bool()), clouds, pixels.repeat(2, 1))
    weights = torch.randn_like(found)
    found_gradients = torch.autograd.grad((found * weights).sum(), list(layer.parameters()))
    whole = F.interpolate(
        layer.convolution(values), (HEIGHT, WIDTH), mode="bilinear", align_corners=align_corners
    )
    expected = whole.permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(found, expected)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), list(layer.parameters()))
    torch.testing.assert_close(found_gradients, expected_gradients)


def test_a_map_that_is_linear_is_linear_between_pixels_too() -> None:
    """Cell c of 5 in 20 pixels has its centre at 4c + 1.5: a closed form at any real pixel between
    centres."""
    ramp = torch.arange(5.0).expand(1, 1, 3, 5)
    columns = torch.tensor([1.5, 2.0, 7.3, 17.5, 19.0, -0.5])
    pixels = torch.stack([columns, torch.full_like(columns, 4.0)], dim=1)
    found = sampled(ramp, (HEIGHT, WIDTH), torch.zeros(6, dtype=torch.int64), pixels, align_corners=False)
    expected = torch.tensor([0, 0.125, (7.3 - 1.5) / 4, 4, 4, 0])
    torch.testing.assert_close(found[:, 0], expected)


class MeanOfCells(MapNetwork):
    """Mean colours of 4 by 4 pixels, mixed."""

    width = 3

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Parameter(torch.eye(3))

    def forward(self, pictures: Tensor) -> Tensor:
        return F.avg_pool2d(pictures.movedim(3, 1).float(), 4)


def test_a_table_says_of_pictures_as_stored_what_the_network_says_of_them() -> None:
    draw = torch.Generator().manual_seed(1)
    stored = torch.randint(256, (4, 8, 12, 3), generator=draw, dtype=torch.uint8)
    network = MeanOfCells()
    numbers = torch.tensor([2, -1, 0])
    batch = PointBatch(
        torch.zeros(3, 1, 3),
        torch.ones(3, dtype=torch.int64),
        numbers,
        pictures=stored[numbers.clamp_min(0)] * (numbers >= 0).view(-1, 1, 1, 1),
        picture_numbers=numbers,
    )
    table = KnownMaps(network(stored).detach(), (8, 12))
    known, seen = table(batch), SeenMaps(network)(batch)
    assert known.size == seen.size == (8, 12)
    assert known.is_there.tolist() == seen.is_there.tolist() == [True, False, True]
    assert torch.equal(known.values[known.is_there], seen.values[seen.is_there])
    assert list(SeenMaps(network).frozen()) == [network]
    assert not table.state_dict()
