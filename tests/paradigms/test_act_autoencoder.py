"""ACT's stage I: its loss and schedules, a teacher that stays, and runs that resume exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor

from paradigms.fitting import fit
from paradigms.providers import EMBEDDING, SMALL, contents, with_providers
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.errors import ConfigError
from pointlab.geometry import chamfer_distance
from pointlab.objectives.codes import divergence_from_even_use
from pointlab.paradigms import ActAutoencoderConfig, Given
from pointlab.paradigms.act_autoencoder import ActAutoencoder
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run
from training.test_loop import Killed, Recorder

QUICK = {"temperature_steps": 6, "divergence_delay": 1, "divergence_steps": 4}


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
    paradigm.train().before_step(60_000, 196_000)
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
    for name, value in (figures | {"loss": coarse + fine + 0.05 * divergence}).items():
        torch.testing.assert_close(
            found.metrics[name], value.detach(), msg=lambda text, n=name: f"{n}: {text}"
        )
    torch.testing.assert_close(found.loss.detach(), found.metrics["loss"])


def test_codes_are_soft_in_training_and_drawn_in_validation() -> None:
    paradigm, heard = act_autoencoder(), []
    paradigm.autoencoder.codebook.register_forward_pre_hook(lambda _, given: heard.append(given[1:]))
    paradigm.before_step(50_000, 196_000)
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


def test_an_interrupted_stage_one_ends_with_the_bits_of_an_undisturbed_one(storage: Storage) -> None:
    """Its temperature, its weight of the divergence and its noise all follow from the step."""
    straight, broken, resumed = (act_autoencoder(**QUICK) for _ in range(3))
    fit(straight, storage, "straight", LocalContext(storage))
    with pytest.raises(Killed):
        fit(broken, storage, "broken", Recorder(storage, die_before=5), checkpoint_every=2)
    fit(resumed, storage, "broken", LocalContext(storage), checkpoint_every=2)
    assert contents(resumed) == contents(straight) != contents(broken)
    logs = [Run(storage, name).read_log() for name in ("straight", "broken")]
    assert logs[0] == logs[1]
    losses = [line["train/divergence"] for line in logs[0] if "train/divergence" in line]
    assert len(losses) > 5
    checkpoint = Run(storage, "broken").checkpoints()[-1]
    stored = Run(storage, "broken").read_checkpoint(checkpoint)["weights.safetensors"]
    assert b"foreign." not in stored
    assert b"autoencoder.codebook.entries" in stored
