"""Pixels teach points: the loss by its equation and in closed form, the pairs, and a teacher that stays as it
is."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from paradigms.providers import SmallMapNetwork, always, contents
from paradigms.two_views import SmallEncoder, two_views
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.pixels import KnownMaps, SeenMaps
from pointlab.paradigms import Given, PpktConfig
from pointlab.paradigms.ppkt import Ppkt, drawn
from pointlab.training.checkpoint import own_state

DIRECTIONS = ("point_to_pixel", "pixel_to_point", "symmetric")


TABLE = always((16, 6, 2, 2)).double()
"""Maps of pictures of 4 by 4 pixels."""


def ppkt(table: Tensor = TABLE, **settings: Any) -> Ppkt:
    """In double precision, around a small encoder; of maps in a table, or of pictures that are augmented."""
    torch.manual_seed(0)
    config = PpktConfig.model_validate({"width": 4, **settings})
    maps = SeenMaps(SmallMapNetwork()) if config.picture_augmentation else KnownMaps(table, (4, 4))
    given = Given(num_classes=3, providers={"image_teacher": maps})
    paradigm = Ppkt(config, SmallEncoder(batch_norm=True), given).double()
    paradigm.freeze()
    return paradigm


def with_pixels(batch: PointBatch, is_seen: Tensor) -> PointBatch:
    """Only these of the points keep their pixels."""
    assert batch.pixels is not None
    return replace(batch, pixels=torch.where(is_seen.unsqueeze(2), batch.pixels, -1.0))


def naive_features(paradigm: Ppkt, batch: PointBatch) -> tuple[Tensor, Tensor]:
    """Of all pairs, pair by pair: of the point, and of its pixel in the map upsampled to the picture."""
    assert batch.pixels is not None
    assert batch.picture_numbers is not None
    said = paradigm.backbone.point_features(batch).values
    points, pixels = [], []
    for cloud, number in enumerate(batch.picture_numbers.tolist()):
        for point, pixel in enumerate(batch.pixels[cloud]):
            if number < 0 or pixel[0] < 0:
                continue
            projected = paradigm.pixel_projection.convolution(TABLE[number : number + 1])
            place = (2 * pixel.double() + 1) / 4 - 1  # -1 to 1 over the picture's edges
            found = F.grid_sample(
                projected, place.view(1, 1, 1, 2), padding_mode="border", align_corners=False
            )
            pixels.append(found.flatten())
            points.append(paradigm.point_projection(said[cloud, point]))
    return torch.stack(points), torch.stack(pixels)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_loss_is_info_nce_over_all_pairs_written_out(direction: str, normalise: bool) -> None:
    """With its gradients, of every parameter."""
    paradigm = ppkt(direction=direction, normalise=normalise, temperature=0.3)
    batch = two_views(num_clouds=3, num_shown=30)
    points, pixels = naive_features(paradigm, batch)
    if normalise:
        points, pixels = (rows / rows.norm(dim=1, keepdim=True) for rows in (points, pixels))
    scores = points @ pixels.T / 0.3
    losses = {
        "point_to_pixel": -scores.log_softmax(1).diagonal().mean(),
        "pixel_to_point": -scores.log_softmax(0).diagonal().mean(),
    }
    losses["symmetric"] = (losses["point_to_pixel"] + losses["pixel_to_point"]) / 2
    expected = torch.autograd.grad(losses[direction], list(paradigm.parameters()))
    output = paradigm(batch)
    found = torch.autograd.grad(output.loss, list(paradigm.parameters()))
    torch.testing.assert_close(output.loss, losses[direction])
    torch.testing.assert_close(found, expected)
    assert output.metrics["num_pairs"] == len(points) > 30
    assert output.metrics["clamped"] == 1
    assert output.metrics["seen"].item() == pytest.approx(len(points) / 90)


def test_pairs_of_equal_pixels_give_the_logarithm_of_their_number() -> None:
    paradigm = ppkt(torch.ones_like(TABLE))
    output = paradigm(two_views())
    assert output.loss.item() == pytest.approx(output.metrics["num_pairs"].log().item())
    assert output.metrics["top_1"] == 0


def test_pairs_are_drawn_of_the_whole_batch_without_replacement_by_torch_s_generator() -> None:
    places = 3 * torch.arange(50)

    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return drawn(places, 20)

    first = draw(3)
    assert len(first.unique()) == 20
    assert set(first.tolist()) <= set(places.tolist())
    assert torch.equal(first, draw(3))
    assert not torch.equal(first, draw(4))
    assert torch.equal(drawn(places, 50), places)
    metrics = ppkt(num_pairs=7)(two_views()).metrics
    assert (metrics["num_pairs"], metrics["clamped"]) == (7, 0)


def test_without_any_pair_the_loss_is_a_zero_that_involves_every_parameter() -> None:
    paradigm, batch = ppkt(), two_views()
    output = paradigm(with_pixels(batch, torch.zeros(4, 40).bool()))
    output.loss.backward()
    assert {float(figure) for name, figure in output.metrics.items() if name != "clamped"} == {0}
    for parameter in paradigm.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_a_cloud_without_a_picture_has_no_pairs() -> None:
    paradigm, batch = ppkt(), two_views()
    assert batch.pixels is not None
    everywhere = replace(batch, pixels=torch.ones_like(batch.pixels))  # the last cloud has no picture
    assert paradigm(everywhere).metrics["num_pairs"] == 3 * 40


def test_training_brings_points_to_their_pixels_and_leaves_the_teacher_as_it_is() -> None:
    """It sees pictures anew in every step, and is part of nothing that is saved."""
    paradigm, batch = ppkt(picture_augmentation={}, temperature=0.1), two_views(num_clouds=2)
    (teacher,) = paradigm.frozen()
    assert isinstance(teacher, SmallMapNetwork)
    paradigm.train()
    before = contents(teacher)
    optimiser = torch.optim.AdamW(paradigm.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        output = paradigm(batch)
        output.loss.backward()
        optimiser.step()
        losses.append(output.loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert contents(teacher) == before
    assert torch.equal(teacher.shown, batch.pictures)  # type: ignore[arg-type]
    assert not [name for name in own_state(paradigm) if name.startswith("maps")]


def test_a_batch_carries_what_its_maps_are_of() -> None:
    assert ppkt().inputs == ("pixels", "picture_numbers")
    assert ppkt(picture_augmentation={}).inputs == ("pixels", "picture_numbers", "pictures")
    assert ppkt().picture_crop is None
    resized, cropped = ppkt(picture_size=[8, 12]), ppkt(picture_size=[8, 12], picture_augmentation={})
    assert resized.picture_crop is not None
    assert cropped.picture_crop is not None
    assert (resized.picture_crop.area, resized.picture_crop.flip) == ((1, 1), False)
    assert cropped.picture_crop.area[0] < 1
    assert resized.picture_crop.size == cropped.picture_crop.size == (8, 12)


def test_settings_and_teachers_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValidationError, match=r"leave out the first, and set picture_size to \[8, 8\]"):
        PpktConfig.model_validate({"picture_augmentation": {"size": [8, 8]}})
    with pytest.raises(ConfigError, match=r"maps of pictures, .* gives none as image_teacher"):
        Ppkt(PpktConfig(), SmallEncoder(batch_norm=False), Given(num_classes=3))
