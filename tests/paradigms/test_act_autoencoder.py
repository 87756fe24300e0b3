"""ACT's stage I: its loss and schedules, a teacher that stays, and what is refused."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from paradigms.masked_cases import QUICK
from paradigms.providers import EMBEDDING, SMALL, contents, with_providers
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.errors import ConfigError
from pointlab.geometry import chamfer_distance
from pointlab.objectives.codes import divergence_from_even_use
from pointlab.paradigms import ActAutoencoderConfig, Given
from pointlab.paradigms.act_autoencoder import ActAutoencoder


def act_autoencoder(**schedule: Any) -> ActAutoencoder:
    torch.manual_seed(0)
    config = ActAutoencoderConfig.model_validate({"autoencoder": SMALL, "schedule": schedule})
    paradigm = ActAutoencoder(config, build_backbone(EMBEDDING), with_providers())
    paradigm.freeze()
    return paradigm


def as_patches(points: Tensor) -> Tensor:
    return points.flatten(0, 1)


def test_the_loss_is_both_chamfer_distances_and_the_weighted_divergence() -> None:
    paradigm, batch = act_autoencoder(), two_views()
    paradigm.train().before_step(60_000, 197_000)
    torch.manual_seed(3)
    found = paradigm(batch)
    torch.manual_seed(3)
    patches = paradigm.backbone.group(batch)
    logits = paradigm.autoencoder.logits(paradigm.backbone.embed(patches), patches.centres)
    latents = paradigm.autoencoder.latents(logits, patches.centres, paradigm.foreign, "soft", 0.386_398_3)
    coarse, fine = (
        chamfer_distance(as_patches(points), as_patches(patches.neighbourhoods), norm="l1")
        for points in paradigm.autoencoder.decoder(latents)
    )
    divergence = divergence_from_even_use(logits)
    figures = {"coarse": coarse, "fine": fine, "divergence": divergence}
    for name, value in figures.items():
        torch.testing.assert_close(
            found.metrics[name], value.detach(), msg=lambda text, n=name: f"{n}: {text}"
        )
    torch.testing.assert_close(found.loss, coarse + fine + 0.05 * divergence)


def test_codes_are_soft_in_training_and_drawn_in_validation() -> None:
    paradigm, heard = act_autoencoder(), []
    paradigm.autoencoder.codebook.register_forward_pre_hook(lambda _, given: heard.append(given[1:]))
    paradigm.before_step(50_000, 197_000)
    for mode in (True, False):
        paradigm.train(mode)(two_views())
    assert heard == [("soft", pytest.approx(0.53125)), ("hard", pytest.approx(0.53125))]


def test_schedules_follow_the_step_and_the_settings_alone() -> None:
    paradigm = act_autoencoder(divergence_weight=0.3, **QUICK)
    assert (paradigm.temperature, paradigm.divergence_weight) == (1.0, 0.0)
    found = []
    for step in (1, 3, 5, 900, 3):
        paradigm.before_step(step, num_steps=7)
        found.append((paradigm.temperature, paradigm.divergence_weight))
    half = (1 + 0.0625) / 2
    assert found[1:] == [
        (pytest.approx(half), pytest.approx(0.15)),
        (pytest.approx(0.0625 + 0.9375 * (1 - 3**0.5 / 2) / 2), pytest.approx(0.3)),
        (pytest.approx(0.0625), pytest.approx(0.3)),
        found[1],
    ]
    assert found[0][1] == 0


def test_training_moves_all_but_the_teacher_and_leaves_stage_two_what_it_needs() -> None:
    paradigm = act_autoencoder(**QUICK).train()
    teacher, before = contents(paradigm.foreign), contents(paradigm)
    trained = [parameter for parameter in paradigm.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1)
    for step in range(2):
        paradigm.before_step(step, 2)
        optimiser.zero_grad()
        paradigm(two_views(seed=step)).loss.backward()
        optimiser.step()
    assert contents(paradigm.foreign) == teacher
    assert not any(module.training for module in paradigm.foreign.modules())
    assert all(parameter.grad is None for parameter in paradigm.foreign.parameters())
    after = contents(paradigm)
    resting = [name for name in before if before[name] == after[name] and not name.startswith("foreign.")]
    assert resting == []
    exported = {f"{part}.{name}" for part, m in paradigm.exported().items() for name in m.state_dict()}
    assert exported == {name for name in before if not name.startswith("foreign.")}


def test_stage_one_without_a_teacher_is_refused_with_the_field_to_set() -> None:
    with pytest.raises(ConfigError, match=r"gives none as teacher.*set teacher in the experiment"):
        ActAutoencoder(ActAutoencoderConfig(), build_backbone(EMBEDDING), Given(num_classes=3))


def test_validation_is_selected_by_the_points_and_tells_of_the_codes_beside_them() -> None:
    """The weight of the divergence moves, which would make later steps look worse."""
    paradigm = act_autoencoder(**QUICK).eval()
    figures = []
    for step in (0, 900):
        paradigm.before_step(step, 1000)
        torch.manual_seed(3)
        figures.append(paradigm(two_views()))
    assert figures[0].loss == figures[1].loss
    for said, (temperature, weight) in zip(figures, ((1.0, 0.0), (0.0625, 0.1)), strict=True):
        torch.testing.assert_close(said.loss, said.metrics["coarse"] + said.metrics["fine"])
        assert said.metrics["temperature"].item() == temperature
        assert said.metrics["divergence_weight"].item() == pytest.approx(weight)
        assert said.metrics["divergence"] > 0
        assert 1 <= said.metrics["codes_used"] <= 16


def test_a_run_that_ends_before_its_schedules_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    paradigm = act_autoencoder(**QUICK)
    paradigm.before_step(0, 6)
    assert not caplog.records
    for step in range(3):
        paradigm.before_step(step, 5)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "ends after 5 steps, before the schedules of its codes, which take 6" in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_groups": 3}, r"backbone\.num_groups is 3\..*at least 4"),
        ({"group_size": 6}, r"backbone\.group_size is 6\..*a multiple of 4"),
        ({"width": 18}, r"backbone\.width is 18\..*a multiple of 4"),
    ],
)
def test_patches_that_stage_one_cannot_take_are_refused_with_the_setting(
    changes: dict[str, int], told: str
) -> None:
    backbone = build_backbone(EMBEDDING.model_copy(update=changes))
    with pytest.raises(ConfigError, match=told):
        ActAutoencoder(ActAutoencoderConfig(autoencoder=SMALL), backbone, with_providers())


def test_codes_that_would_soften_are_refused() -> None:
    with pytest.raises(ValidationError, match="last_temperature 2 exceeds first_temperature 1"):
        act_autoencoder(last_temperature=2.0)
