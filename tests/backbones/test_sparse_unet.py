"""The sparse U-Net: its size, what it reads, and what points and clouds get from cells."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from backbones.tiny import TINY
from pointlab.backbones.sparse_unet import SparseUnet, SparseUnetConfig
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.experiment.prepared_data import inputs_of
from pointlab.paradigms import Given
from pointlab.paradigms.supervised import Supervised, SupervisedConfig

CONFIG = TINY["sparse_unet"]


def unet(**settings: object) -> SparseUnet:
    torch.manual_seed(0)
    config = CONFIG.model_copy(update=settings)
    assert isinstance(config, SparseUnetConfig)
    return SparseUnet(config).eval()


def batch() -> PointBatch:
    drawn = torch.Generator().manual_seed(1)
    points, colours = torch.randn(2, 50, 3, generator=drawn), torch.rand(2, 50, 3, generator=drawn)
    points[1, 40:] = colours[1, 40:] = 0
    return PointBatch(points, torch.tensor([50, 40]), torch.arange(2), colours=colours)


def test_the_default_is_the_published_network_of_34_layers() -> None:
    """As released, with three colours alone at its input and a layer to 20 classes: 37,856,052 parameters."""
    with torch.device("meta"):
        network = SparseUnet(SparseUnetConfig())
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters - (4 - 3) * 125 * 32 + (96 + 1) * 20 == 37_856_052
    assert network.stages == (
        "stem",
        *(f"down_{n}" for n in (1, 2, 3, 4)),
        *(f"up_{n}" for n in (4, 3, 2, 1)),
    )
    assert network.pooled_stage == "down_4"
    assert network.num_features == 256


def test_points_of_one_cell_share_their_feature_and_others_do_not() -> None:
    points = batch().points
    points[0, 1] = points[0, 0]  # in its cell
    points[0, 2] = points[0, 0] + 10
    values = unet().point_features(replace(batch(), points=points)).values
    assert torch.equal(values[0, 0], values[0, 1])
    assert not torch.allclose(values[0, 0], values[0, 2])


def test_a_single_cell_in_training_is_told_with_what_to_do() -> None:
    crowded = replace(batch(), points=torch.zeros(2, 50, 3))
    alone = PointBatch(crowded.points[:1], crowded.counts[:1], crowded.ids[:1], colours=crowded.colours[:1])
    assert unet()(alone).pooled.isfinite().all()
    with pytest.raises(DataError, match=r"two rows or more.*training\.batch_size.*voxel_size"):
        unet().train()(alone)


def test_pooled_is_the_maximum_over_the_points_of_a_cloud() -> None:
    """Over its cells, that is: each holds a point, and each point has the feature of its cell."""
    found = unet().intermediates(batch(), ["down_1", "up_1"])
    for features in found.values():
        of_points = torch.stack([features.tokens[0].amax(0), features.tokens[1, :40].amax(0)])
        assert torch.equal(features.pooled, of_points)


def test_what_is_above_the_coarsest_cells_is_computed_for_points_alone() -> None:
    network, called = unet(), list[int]()
    for up in network.ups:
        up.register_forward_hook(lambda *_: called.append(1))
    network(batch())
    assert called == []
    network.point_features(batch())
    assert len(called) == 2


def test_colours_are_read_where_they_are_asked_for() -> None:
    given = batch()
    assert given.colours is not None
    brighter = replace(given, colours=given.colours + 0.2)
    blind, seeing = unet(), unet(colours=True)
    assert torch.equal(blind(given).pooled, blind(brighter).pooled)
    assert not torch.allclose(seeing(given).pooled, seeing(brighter).pooled)
    with pytest.raises(DataError, match=r"has no colours.*reads beside points"):
        seeing(replace(given, colours=None))


def test_a_training_gets_what_its_backbone_reads() -> None:
    def paradigm(network: SparseUnet) -> Supervised:
        return Supervised(SupervisedConfig(), network, Given(num_classes=3))

    assert inputs_of(paradigm(unet())) == ()
    assert inputs_of(paradigm(unet(colours=True))) == ("colours",)


@pytest.mark.parametrize("widths", [(8, 8, 8), (8, 8, 8, 8, 8, 8)])
def test_levels_that_do_not_fit_each_other_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="do not fit"):
        SparseUnetConfig(widths=widths, depths=(1, 1, 1, 1))
