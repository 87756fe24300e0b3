"""ACT's stage II: its loss on hidden patches, and a teacher that is frozen in truth, in both its modes."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.tiny import TINY
from paradigms.providers import EMBEDDING, contents, small_latents, with_providers
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.errors import ConfigError
from pointlab.objectives.masking import draw_mask
from pointlab.paradigms import ActConfig, Given, MaskedConfig
from pointlab.paradigms.act import Act, distance_to


def act(**changes: Any) -> Act:
    """A tiny student of the small stage I, without drop path: masks and codes alone are drawn."""
    torch.manual_seed(0)
    decoder = {"depth": 2, "num_heads": 2, "drop_path_rate": 0}
    config = ActConfig.model_validate({"decoder": decoder, **changes})
    backbone = TINY["patch_transformer"].model_copy(update={"drop_path_rate": 0.0})
    paradigm = Act(config, build_backbone(backbone), with_providers())
    paradigm.freeze()
    return paradigm


def loss_of(paradigm: Act, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    loss: Tensor = paradigm(two_views()).loss
    return loss


def test_the_loss_is_one_less_the_mean_cosine_to_the_whole_clouds_latents_at_hidden_patches() -> None:
    paradigm = act().eval()
    backbone, latents = paradigm.backbone, paradigm.latents
    patches = backbone.group(two_views())
    torch.manual_seed(3)
    mask = draw_mask(patches.centres, paradigm.config.mask)
    assert mask.hidden.shape == (4, 6)  # of 8, at 0.8
    logits = latents.autoencoder.logits(latents.embedding.embed(patches), patches.centres)
    targets = latents.autoencoder.latents(logits, patches.centres, latents.foreign, "likeliest")
    tokens, cosines = backbone.embed(patches), []
    for cloud, (visible, hidden) in enumerate(zip(mask.visible, mask.hidden, strict=True)):
        rows = torch.cat([backbone.class_token[0], tokens[cloud, visible]])
        seen, unseen = patches.centres[cloud, visible], patches.centres[cloud, hidden]
        places = torch.cat([backbone.class_position[0], backbone.positional(seen)])
        for block in backbone.blocks:
            rows = block((rows + places).unsqueeze(0))[0]
        latent = backbone.norm(rows[1:]).unsqueeze(0)  # the class token stays with the encoder
        predicted = paradigm.to_latents(paradigm.decoder(latent, seen.unsqueeze(0), unseen.unsqueeze(0)))[0]
        for mine, its in zip(predicted, targets[cloud, hidden], strict=True):
            cosines.append((mine @ its / (mine.norm() * its.norm())).item())
    assert loss_of(paradigm).item() == pytest.approx(1 - sum(cosines) / 24, rel=1e-5)


def test_the_other_losses_are_means_over_all_entries() -> None:
    target, predicted = torch.tensor([[[0.0, 2.0], [1.0, 1.0]]]), torch.tensor([[[0.5, 0.0], [1.0, 1.0]]])
    assert distance_to(target, predicted, "l2").item() == pytest.approx((0.25 + 4) / 4)
    assert distance_to(target, predicted, "smooth_l1").item() == pytest.approx((0.125 + 1.5) / 4)


def test_nt_xent_tells_a_latent_from_those_of_the_clouds_other_patches() -> None:
    target, predicted = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    losses = []
    for cloud in range(2):
        views = [*F.normalize(predicted[cloud], dim=1), *F.normalize(target[cloud], dim=1)]
        for query in range(6):
            scores = [math.exp(views[query] @ key / 0.07) for key in views]
            losses.append(-math.log(scores[query - 3] / (sum(scores) - scores[query])))
    expected = sum(losses) / 12 / 3
    assert distance_to(target, predicted, "nt_xent").item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["l2", "smooth_l1", "nt_xent"])
def test_an_option_changes_the_loss_and_not_what_is_logged_beside_it(kind: str) -> None:
    outputs = []
    for paradigm in (act(loss=kind).eval(), act().eval()):
        torch.manual_seed(3)
        outputs.append(paradigm(two_views()))
    other, plain = outputs
    assert other.loss != plain.loss
    cosine = pytest.approx(1 - plain.loss.item(), rel=1e-5)
    assert other.metrics["cosine"] == plain.metrics["cosine"] == cosine


def test_beside_the_cosine_stands_that_of_one_vector_for_all_patches() -> None:
    paradigm = act().eval()
    patches = paradigm.backbone.group(two_views())
    latents = paradigm.latents(patches)
    torch.manual_seed(3)
    hidden = draw_mask(patches.centres, paradigm.config.mask).hidden
    rows = [latents[cloud, patch] for cloud in range(4) for patch in hidden[cloud]]
    mean = sum(rows) / len(rows)
    cosines = [(mean @ row / (mean.norm() * row.norm())).item() for row in rows]
    torch.manual_seed(3)
    metrics = paradigm(two_views()).metrics
    assert metrics["cosine_of_mean"].item() == pytest.approx(sum(cosines) / len(cosines), rel=1e-5)
    assert metrics["cosine_of_mean"] > metrics["cosine"]  # nothing was trained


@pytest.mark.parametrize("teacher", ["steady", "released"])
def test_training_moves_all_of_the_student_and_nothing_of_the_teacher(teacher: str) -> None:
    paradigm = act(teacher=teacher).train()
    stage_one, before = contents(paradigm.latents), contents(paradigm)
    optimiser = torch.optim.AdamW([p for p in paradigm.parameters() if p.requires_grad], weight_decay=0.1)
    for seed in range(2):
        optimiser.zero_grad()
        loss_of(paradigm, seed).backward()
        optimiser.step()
        paradigm.eval()
        loss_of(paradigm)
        paradigm.train()
    assert contents(paradigm.latents) == stage_one
    assert all(parameter.grad is None for parameter in paradigm.latents.parameters())
    after = contents(paradigm)
    resting = [name for name in before if before[name] == after[name] and not name.startswith("latents.")]
    assert resting == []
    assert set(paradigm.exported()) == {"backbone", "decoder", "to_latents"}


def test_a_steady_teacher_is_in_eval_mode_and_draws_nothing() -> None:
    paradigm = act().train()
    assert not any(module.training for module in paradigm.latents.modules())
    patches, before = paradigm.backbone.group(two_views()), torch.get_rng_state()
    assert torch.equal(paradigm.latents(patches), small_latents()(patches))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_released_teacher_draws_codes_and_drops_prompts_with_the_batchs_moments() -> None:
    paradigm, heard = act(teacher="released").train(), []
    assert paradigm.latents.autoencoder.prompting.dropout.training
    assert not any(module.training for module in paradigm.latents.foreign.modules())
    codebook = paradigm.latents.autoencoder.codebook
    codebook.register_forward_pre_hook(lambda _, given: heard.append(given))
    loss_of(paradigm)
    loss_of(paradigm.eval())
    patches = paradigm.backbone.group(two_views())
    for mode, (logits, *choice) in zip((True, False), heard, strict=True):
        same = small_latents().train(mode)
        expected = same.autoencoder.logits(same.embedding.embed(patches), patches.centres)
        torch.testing.assert_close(logits, expected)
        assert choice == ["hard", 1.0]
    assert (heard[0][0] - heard[1][0]).abs().max() > 0.01


def test_a_stage_one_of_other_patches_is_refused_with_what_differs() -> None:
    other = EMBEDDING.model_copy(update={"num_groups": 6, "skip_near_origin": True})
    given = Given(num_classes=3, providers={"latents": small_latents(other)})
    with pytest.raises(
        ConfigError, match=r"num_groups is 8 here and 6 there, skip_near_origin is False here"
    ):
        Act(ActConfig(), build_backbone(TINY["patch_transformer"]), given)


def test_stage_two_without_stage_one_is_refused_with_the_field_to_set() -> None:
    providers = {"latents": nn.Identity()}
    with pytest.raises(
        ConfigError, match=r"from a finished stage I, .* another kind .* as latents.*set latents"
    ):
        Act(ActConfig(), build_backbone(TINY["patch_transformer"]), Given(3, providers=providers))


def test_settings_given_in_part_keep_acts_own_defaults() -> None:
    config = ActConfig.model_validate({"mask": {"kind": "block"}, "decoder": {"num_heads": 3}})
    assert (config.mask.ratio, config.decoder.depth) == (0.8, 2)
    assert ActConfig().model_dump()["mask"] == {"kind": "random", "ratio": 0.8}
    assert (MaskedConfig().mask.ratio, MaskedConfig().decoder.depth) == (0.6, 4)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mask": {"ratio": 0.1}}, r"paradigm\.mask\.ratio is 0\.1, which hides 0 of 8"),
        ({"mask": {"ratio": 0.2}, "loss": "nt_xent"}, r"paradigm\.loss is nt_xent, .* hides one of 8"),
        ({"decoder": {"num_heads": 5}}, r"paradigm\.decoder\.num_heads is 5, and backbone\.width is 24"),
    ],
)
def test_settings_that_the_backbone_cannot_take_are_refused_with_their_paths(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        act(**settings)
