"""What paradigms make of clouds: the very points that their losses compare, where the patches are."""

from dataclasses import replace

import pytest
import torch

from paradigms.masked_cases import CASES
from paradigms.providers import with_providers
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.backbones.patches import Patches
from pointlab.geometry import chamfer_distance
from pointlab.objectives.masking import draw_mask
from pointlab.paradigms import ParadigmConfig, build_paradigm
from pointlab.paradigms.act_autoencoder import ActAutoencoder
from pointlab.paradigms.base import Paradigm
from pointlab.paradigms.masked import Masked
from pointlab.paradigms.rebuilding import Rebuilding

MAKERS = {"masked": "loss", "recon-points": "reconstruction", "act-autoencoder": "fine"}
"""Paradigms that make points, and the figure that compares these with the patches."""


def built(name: str) -> Paradigm:
    """In eval mode: nothing is drawn but masks and codes."""
    config: ParadigmConfig
    config, backbone = CASES[name]
    torch.manual_seed(0)
    paradigm = build_paradigm(config, build_backbone(backbone), with_providers(config))
    paradigm.freeze()
    return paradigm.eval()


def wanted(paradigm: Paradigm) -> Patches:
    """The patches that it is to make, after seed 3."""
    assert isinstance(paradigm, Rebuilding | ActAutoencoder)
    patches = paradigm.backbone.group(two_views())
    if isinstance(paradigm, ActAutoencoder):
        return patches
    torch.manual_seed(3)
    return patches.at(draw_mask(patches.centres, paradigm.config.mask).hidden)


@pytest.mark.parametrize("name", MAKERS)
def test_the_points_made_are_those_that_the_loss_compares_at_the_centres_of_their_patches(name: str) -> None:
    paradigm = built(name)
    torch.manual_seed(3)
    output = paradigm(two_views())
    torch.manual_seed(3)
    found = paradigm.rebuild(two_views())
    assert found is not None
    patches = wanted(paradigm)
    made = found.rebuilt.unflatten(1, (patches.centres.shape[1], -1)) - patches.centres[:, :, None]
    norm = "l1" if name == "act-autoencoder" else "l2"
    distance = chamfer_distance(made.flatten(0, 1), patches.neighbourhoods.flatten(0, 1), norm=norm)
    told = {"loss": output.loss, **output.metrics}[MAKERS[name]]
    torch.testing.assert_close(distance, told, rtol=1e-4, atol=1e-6)


def test_points_of_visible_patches_are_given_and_no_others() -> None:
    paradigm, batch = built("masked"), two_views()
    assert isinstance(paradigm, Masked)
    torch.manual_seed(3)
    found = paradigm.rebuild(batch)
    patches = paradigm.backbone.group(batch)
    torch.manual_seed(3)
    visible = draw_mask(patches.centres, paradigm.config.mask).visible
    for cloud, is_given in enumerate(found.is_given):
        members = {row for patch in visible[cloud] for row in patches.indices[cloud, patch].tolist()}
        assert set(torch.nonzero(is_given).flatten().tolist()) == members
        assert 0 < len(members) < len(is_given)


def test_an_autoencoder_is_given_no_point() -> None:
    found = built("act-autoencoder").rebuild(two_views())
    assert found is not None
    assert not found.is_given.any()


def test_where_points_are_not_what_is_made_nothing_is_rebuilt() -> None:
    assert built("act").rebuild(replace(two_views(), views=())) is None
