"""Masked point modelling: its loss on hidden patches, and what has no part in it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.tiny import TINY
from conftest import PRETRAIN
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.backbones.patch_transformer import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.patches import Patches
from pointlab.config import merge, validate
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import PretrainExperiment
from pointlab.objectives.masking import draw_mask
from pointlab.paradigms import Given, MaskedConfig
from pointlab.paradigms.masked import Masked


def masked(**changes: Any) -> Masked:
    """A tiny paradigm in eval mode: nothing but the mask is drawn then."""
    torch.manual_seed(0)
    config = MaskedConfig.model_validate({"decoder": {"num_heads": 2}, **changes})
    return Masked(config, build_backbone(TINY["patch_transformer"]), Given(num_classes=3)).eval()


def loss_of(paradigm: Masked, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    loss: Tensor = paradigm(two_views()).loss
    return loss


def chamfer(one: Tensor, other: Tensor, norm: str) -> tuple[list[float], list[float]]:
    """From each point of a patch to the nearest of the other, there and back."""
    distances = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances.square() if norm == "l2" else distances
    return distances.amin(1).tolist(), distances.amin(0).tolist()


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_the_loss_is_the_chamfer_distance_of_hidden_patches_to_what_is_made_of_the_visible(norm: str) -> None:
    paradigm = masked(distance=norm)
    backbone, patches = paradigm.backbone, paradigm.backbone.group(two_views())
    torch.manual_seed(3)
    mask = draw_mask(patches.centres, paradigm.config.mask)
    there, back = [], []
    for cloud, (visible, hidden) in enumerate(zip(mask.visible, mask.hidden, strict=True)):
        tokens = backbone.embedder(patches.neighbourhoods[[cloud]][:, visible])
        rows, places = tokens, backbone.positional(patches.centres[cloud, visible]).unsqueeze(0)
        for block in backbone.blocks:  # no class token
            rows = block(rows + places)
        seen, unseen = patches.centres[[cloud]][:, visible], patches.centres[[cloud]][:, hidden]
        for row, token in zip(hidden, paradigm.decoder(backbone.norm(rows), seen, unseen)[0], strict=True):
            made = (paradigm.to_points.weight @ token + paradigm.to_points.bias).reshape(4, 3)
            one, other = chamfer(made, patches.neighbourhoods[cloud, row], norm)
            there, back = there + one, back + other
    expected = sum(there) / len(there) + sum(back) / len(back)
    assert len(there) == 4 * 4 * 4  # clouds, hidden patches of 8, points
    assert loss_of(paradigm).item() == pytest.approx(expected if norm == "l2" else expected / 2, rel=1e-5)


def test_embedding_the_visible_patches_alone_changes_nothing_in_eval_mode_and_moments_in_training() -> None:
    every, visible = masked(), masked(embed="visible")
    torch.testing.assert_close(loss_of(visible), loss_of(every))
    assert (loss_of(visible.train()) - loss_of(every.train())).abs() > 1e-6


class Refilled(PatchTransformer):
    """Its patches in `rows` are filled with other points."""

    rows: Tensor | None = None

    def group(self, batch: Any) -> Patches:
        patches = super().group(batch)
        if self.rows is None:
            return patches
        other = patches.neighbourhoods.clone()
        other.scatter_(1, self.rows[:, :, None, None].expand(-1, -1, 4, 3), 7.0)
        return replace(patches, neighbourhoods=other)


def test_what_hidden_patches_hold_does_not_reach_the_decoder() -> None:
    torch.manual_seed(0)
    config = TINY["patch_transformer"]
    assert isinstance(config, PatchTransformerConfig)
    paradigm = Masked(MaskedConfig(), backbone := Refilled(config), Given(num_classes=3)).eval()
    decoded: list[Tensor] = []
    paradigm.decoder.register_forward_hook(lambda *heard: decoded.append(heard[2]))
    torch.manual_seed(3)
    mask = draw_mask(backbone.group(two_views()).centres, paradigm.config.mask)
    losses = []
    for rows in (None, mask.hidden, mask.visible):
        backbone.rows = rows
        losses.append(loss_of(paradigm))
    assert torch.equal(decoded[0], decoded[1])
    assert (decoded[0] - decoded[2]).abs().max() > 1e-6
    assert losses[1] > losses[0] + 1


def test_the_class_token_stays_as_it_began() -> None:
    paradigm = masked().train()
    loss_of(paradigm).backward()
    resting = [name for name, parameter in paradigm.named_parameters() if parameter.grad is None]
    assert resting == ["backbone.class_token", "backbone.class_position"]
    assert set(paradigm.exported()) == {"backbone", "decoder", "to_points"}


def test_a_pretraining_network_has_as_many_parameters_as_point_mae() -> None:
    """29.01M, without the class token that the paper's pretraining lacks."""
    with torch.device("meta"):
        backbone = build_backbone(PatchTransformerConfig(class_token=False))
        paradigm = Masked(MaskedConfig(), backbone, Given(num_classes=55))
    assert round(sum(parameter.numel() for parameter in paradigm.parameters()) / 1e6, 2) == 29.01


def test_a_ratio_that_leaves_nothing_to_guess_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="hides 0 of 8 patches"):
        masked(mask={"ratio": 0.1})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"paradigm": {"mask": {"ratio": 0.1}}}, r"paradigm\.mask\.ratio is 0\.1, which hides 0 of 8"),
        ({"paradigm": {"decoder": {"num_heads": 5}}}, r"paradigm\.decoder\.num_heads is 5"),
        ({"num_points": 7}, r"num_points is 7, but backbone\.num_groups is 8: expected at least 8"),
        ({"num_points": 9, "backbone": {"group_size": 10}}, r"but backbone\.group_size is 10"),
        ({"augmentation": {"crop": [0.1, 0.9]}}, r"crop is \[0\.1, 0\.9\], which leaves as few as 5 of 48"),
        (
            {
                "paradigm": {"kind": "act_autoencoder"},
                "backbone": {"kind": "patch_embedding", "num_groups": 8, "group_size": 6},
            },
            r"backbone\.group_size is 6\. Expected: a multiple of 4",
        ),
    ],
)
def test_an_experiment_refuses_what_its_backbone_cannot_take_before_any_parent_is_made(
    changes: dict[str, Any], told: str
) -> None:
    plain = merge(PRETRAIN, {"paradigm": {"kind": "masked", "decoder": {"num_heads": 2}}})
    with pytest.raises(ConfigError, match=told):
        validate(PretrainExperiment, merge(plain, changes), "test")


def test_a_cloud_that_is_too_small_for_its_patches_is_refused_with_what_they_need() -> None:
    batch = two_views()
    few = replace(batch, counts=torch.full_like(batch.counts, 5))
    with pytest.raises(DataError, match=r"smallest cloud of the batch has 5 points.*at least 8 points"):
        masked()(few)
