"""What a finished network says of the pixels that see points: maps of pictures, and features at real pixels.

A map has a feature for each cell of a coarse grid over a picture. PPKT (Liu et al., "Learning from 2D:
Contrastive Pixel-to-Point Knowledge Transfer for 3D Pretraining", arXiv 2104.04687) brings it to the
picture's size by an upsampling feature projection layer, a 1x1 convolution and bilinear upsampling, which is
trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from pointlab.data.sample import PointBatch

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Maps:
    """A map of each cloud's picture; `size` is that of the pictures that `PointBatch.pixels` refer to.

    Where no picture is there, the values are any.
    """

    values: Float[Tensor, "batch channels rows columns"]
    size: Size
    is_there: Bool[Tensor, " batch"]


class MapNetwork(nn.Module, ABC):
    """A finished network that says a map of each picture, frozen: `teachers.ImageMaps` is one."""

    width: int
    """Channels of a map."""

    @abstractmethod
    def forward(self, pictures: UInt8[Tensor, "batch _ _ 3"]) -> Float[Tensor, "batch channels rows columns"]:
        """Maps of these pictures, without gradients."""


class PixelMaps(nn.Module, ABC):
    """What a finished network says of the pictures of a batch, cell by cell.

    It is part of a paradigm; only its `frozen` networks have weights, and nothing of it is saved.
    """

    inputs: tuple[str, ...] = ("picture_numbers",)
    """What a batch must carry for it."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of a map."""

    @abstractmethod
    def forward(self, batch: PointBatch) -> Maps:
        """The map of each cloud's picture."""

    def frozen(self) -> Iterable[nn.Module]:
        """The networks that are asked in every step."""
        return ()


class KnownMaps(PixelMaps):
    """Looked up by the number of the picture in a table of maps that were computed before."""

    def __init__(self, maps: Float[Tensor, "pictures channels rows columns"], size: Size) -> None:
        """Map i is of the picture with the number i; the pictures, as batches show them, have this size.

        The table stays where it is, mapped from a disk as a rule: devices get the maps of a batch alone.
        """
        super().__init__()
        self._maps, self._size = maps, size

    def __deepcopy__(self, memo: dict[int, object]) -> "KnownMaps":
        """Itself: a copy of a paradigm shares the table, which may be large and never changes."""
        return self

    @property
    def width(self) -> int:
        """Channels of a map."""
        return self._maps.shape[1]

    def forward(self, batch: PointBatch) -> Maps:
        """The maps of the batch's pictures."""
        assert batch.picture_numbers is not None, "among the inputs"
        numbers = batch.picture_numbers
        wanted = numbers.clamp_min(0).to(self._maps.device)
        return Maps(self._maps.index_select(0, wanted).to(numbers.device), self._size, numbers >= 0)


class SeenMaps(PixelMaps):
    """Of each cloud's picture as the batch shows it, which the network sees anew in every step."""

    inputs = ("picture_numbers", "pictures")

    def __init__(self, network: MapNetwork) -> None:
        """What `network` says."""
        super().__init__()
        self.network = network

    @property
    def width(self) -> int:
        """Channels of a map."""
        return self.network.width

    def frozen(self) -> Iterable[nn.Module]:
        """The one network."""
        return (self.network,)

    def forward(self, batch: PointBatch) -> Maps:
        """Maps of the batch's pictures; a cloud without one has a black one, which does not count."""
        assert batch.pictures is not None, "among the inputs"
        assert batch.picture_numbers is not None, "among the inputs"
        height, width = batch.pictures.shape[1:3]
        return Maps(self.network(batch.pictures), (height, width), batch.picture_numbers >= 0)


class PixelProjection(nn.Module):
    """PPKT's upsampling feature projection layer, at the pixels that are wanted and nowhere else.

    Bilinear upsampling is a weighted mean of four cells, so what it gives at a pixel is sampled there,
    without maps of the pictures' size.
    """

    def __init__(self, num_channels: int, width: int, *, align_corners: bool = False) -> None:
        """From so many channels of a map to `width`; for `align_corners` see `sampled`."""
        super().__init__()
        self.convolution = nn.Conv2d(num_channels, width, kernel_size=1)
        self.align_corners = align_corners

    def forward(
        self, maps: Maps, clouds: Int64[Tensor, " pixels"], pixels: Float[Tensor, "pixels 2"]
    ) -> Float[Tensor, "pixels width"]:
        """Features of these pixels (column, row), each in the picture of its cloud."""
        projected = self.convolution(maps.values)
        return sampled(projected, maps.size, clouds, pixels, align_corners=self.align_corners)


def sampled(
    maps: Float[Tensor, "batch channels rows columns"],
    size: Size,
    clouds: Int64[Tensor, " pixels"],
    pixels: Float[Tensor, "pixels 2"],
    *,
    align_corners: bool,
) -> Float[Tensor, "pixels channels"]:
    """The maps at pixels (column, row) of pictures of this size, as if they had been upsampled to it.

    Cells tile the picture, and a pixel beyond the outermost centres has the outermost cell; `align_corners`
    puts the centres of the outermost cells on the outermost pixels instead. Pixels may lie between centres.
    """
    num_rows, num_columns = maps.shape[2:]
    upper, lower, below = _neighbours(pixels[:, 1], size[0], num_rows, align_corners=align_corners)
    left, right, beside = _neighbours(pixels[:, 0], size[1], num_columns, align_corners=align_corners)
    cells = maps.permute(0, 2, 3, 1).flatten(0, 2)  # [batch · rows · columns, channels]

    def mixed(row: Tensor) -> Tensor:
        at_left, at_right = (
            cells.index_select(0, (clouds * num_rows + row) * num_columns + column)
            for column in (left, right)
        )
        return torch.lerp(at_left, at_right, beside.to(cells.dtype).unsqueeze(1))

    return torch.lerp(mixed(upper), mixed(lower), below.to(cells.dtype).unsqueeze(1))


def cells_of_pixels(length: int, num_cells: int, *, align_corners: bool) -> tuple[float, float]:
    """Factor f and centre c: a pixel p of an axis of so many lies at (p + c) f - c among its cells.

    It is `sampled` that explains where cells lie; places beyond the outermost have theirs.
    """
    if align_corners:
        return (num_cells - 1) / max(length - 1, 1), 0.0
    return num_cells / length, 0.5


def _neighbours(
    places: Float[Tensor, " pixels"], length: int, num_cells: int, *, align_corners: bool
) -> tuple[Int64[Tensor, " pixels"], Int64[Tensor, " pixels"], Float[Tensor, " pixels"]]:
    """The cells before and behind each place along an axis of so many pixels, and the share of the second."""
    factor, centre = cells_of_pixels(length, num_cells, align_corners=align_corners)
    exact = ((places + centre) * factor - centre).clamp(0, num_cells - 1)
    first = exact.floor().long()
    return first, (first + 1).clamp_max(num_cells - 1), exact - first
