"""Frames as a finished PPKT sees them: what it says of points and pixels, and what each finds of others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from pointlab.data.correspondence import UNSEEN
from pointlab.data.sample import PointBatch
from pointlab.evaluation.matching import Figures, SeenPoints, draw_pairs, match_pixels, match_points
from pointlab.experiment.match import MatchExperiment
from pointlab.experiment.matched import MAX_SIDE, ShownFrame, num_kept, quantised, sampling_of
from pointlab.experiment.shown import small_jpeg
from pointlab.objectives.pixels import Size, sampled
from pointlab.paradigms.ppkt import Ppkt

FEWEST = 2
"""Seen points of a frame that is asked about: with a single candidate, everything is right."""
WAYS = PIXEL_TO_POINT, POINT_TO_PIXEL = "pixel_to_point", "point_to_pixel"


@dataclass(frozen=True)
class Frame:
    """One cloud with its picture: what was found in it, and what a page may show of it."""

    identity: int
    num_seen: int
    num_pairs: int
    figures: dict[str, Figures]
    """Those of each way."""
    shown: ShownFrame


@dataclass(frozen=True)
class _Said:
    """What the network says of a batch, on the CPU: of points, and of the cells of the pictures' maps."""

    points: Float[Tensor, "batch points width"]
    cells: Float[Tensor, "batch width rows columns"]
    size: Size
    is_seen: Bool[Tensor, "batch points"]


def match_frames(network: Ppkt, batch: PointBatch, experiment: MatchExperiment) -> Iterator[Frame]:
    """A frame for each cloud of the batch whose picture shows at least two of its points."""
    said = _say(network, batch)
    for place in range(len(batch)):
        if int(said.is_seen[place].sum()) >= FEWEST:
            yield _match_frame(said, batch, place, experiment)


@torch.no_grad()
def _say(network: Ppkt, batch: PointBatch) -> _Said:
    device = next(network.parameters()).device
    on_device = batch.to(device)
    maps = network.maps(on_device)
    values = network.backbone.point_features(on_device).values
    assert batch.pixels is not None, "among the inputs of the paradigm"
    return _Said(
        points=network.point_projection(values.flatten(0, 1)).view(*values.shape[:2], -1).cpu(),
        cells=network.pixel_projection.convolution(maps.values).cpu(),
        size=maps.size,
        is_seen=(batch.pixels[..., 0] > UNSEEN) & maps.is_there.cpu().unsqueeze(1),
    )


def _match_frame(said: _Said, batch: PointBatch, place: int, experiment: MatchExperiment) -> Frame:
    identity = int(batch.ids[place])
    seen = _seen(said, batch, place, experiment)
    asked = draw_pairs(len(seen), experiment.num_pairs, identity)
    ways = {
        PIXEL_TO_POINT: match_points(seen, asked, experiment.radii),
        POINT_TO_PIXEL: match_pixels(seen, asked, experiment.pixel_radii),
    }
    found = {way: one.figures for way, one in ways.items()}
    in_the_middle = ways[PIXEL_TO_POINT].distances.argsort(stable=True)[(len(asked) - 1) // 2]
    start = seen.pixels[asked[in_the_middle]].numpy()
    return Frame(identity, len(seen), len(asked), found, _shown(said, batch, place, experiment, start))


def _seen(said: _Said, batch: PointBatch, place: int, experiment: MatchExperiment) -> SeenPoints:
    """The seen points of one cloud, with the features of their pixels as the model samples them."""
    assert batch.pixels is not None, "among the inputs of the paradigm"
    rows = said.is_seen[place].nonzero().squeeze(1)
    pixels = batch.pixels[place, rows]
    clouds: Int64[Tensor, " points"] = torch.zeros_like(rows)
    cells, align = said.cells[place, None], experiment.paradigm.align_corners
    return SeenPoints(
        points=batch.points[place, rows],
        pixels=pixels,
        point_features=said.points[place, rows],
        pixel_features=sampled(cells, said.size, clouds, pixels, align_corners=align),
        point_labels=None if batch.point_labels is None else batch.point_labels[place, rows],
    )


def _shown(
    said: _Said,
    batch: PointBatch,
    place: int,
    experiment: MatchExperiment,
    start: Float32[np.ndarray, "2"],
) -> ShownFrame:
    """The frame as a page shows it, with its first points."""
    assert batch.pixels is not None, "among the inputs of the paradigm"
    assert batch.pictures is not None, "among the inputs of a teacher that sees them"
    kept = num_kept(int(batch.counts[place]), said.points.shape[2])
    cells, scales = quantised(said.cells[place].permute(1, 2, 0).numpy())
    pixels = batch.pixels[place].masked_fill(~said.is_seen[place].unsqueeze(1), UNSEEN)
    align = experiment.paradigm.align_corners
    return ShownFrame(
        picture=small_jpeg(batch.pictures[place].numpy(), MAX_SIDE),
        size=np.array(said.size),
        points=batch.points[place, :kept].numpy(),
        pixels=pixels[:kept].numpy(),
        features=quantised(said.points[place, :kept].numpy())[0],
        cells=cells,
        scales=scales,
        sampling=sampling_of(said.size, cells.shape[:2], align_corners=align),
        start=start,
        colours=None if batch.colours is None else _as_bytes(batch.colours[place, :kept]),
        labels=None if batch.point_labels is None else batch.point_labels[place, :kept].numpy(),
    )


def _as_bytes(colours: Float[Tensor, "points 3"]) -> UInt8[np.ndarray, "points 3"]:
    """Colours in 0 to 1 as whole numbers up to 255."""
    whole: UInt8[np.ndarray, "points 3"] = (colours * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return whole
