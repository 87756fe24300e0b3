"""Global contrast: SimCLR over both views, MoCo with a key encoder and a queue, exact in resuming."""

import copy
import math
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from paradigms.two_views import SmallEncoder, two_views
from pointlab.backbones import Features
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.info_nce import nt_xent
from pointlab.objectives.momentum import KeyQueue, TrailingEncoder
from pointlab.paradigms import ContrastiveConfig, Given, Paradigm, ParadigmConfig, build_paradigm
from pointlab.storage import Storage
from pointlab.training import Run
from pointlab.training.checkpoint import TrainingState, capture, restore
from pointlab.training.moving_average import MovingAverage

MOMENTUM = {"momentum": {"queue_size": 6}, "temperature": 0.2}


def contrastive(seed: int = 0, *, batch_norm: bool = True, **settings: Any) -> Paradigm:
    torch.manual_seed(seed)
    config = ContrastiveConfig.model_validate(
        {"projector": {"width": 4, "batch_norm": batch_norm}, **settings}
    )
    return build_paradigm(config, SmallEncoder(batch_norm=batch_norm), Given(num_classes=3)).double()


def test_the_loss_and_its_gradients_are_those_of_nt_xent_of_the_projected_views() -> None:
    paradigm, batch = contrastive(batch_norm=False, temperature=0.3), two_views()
    output, parameters = paradigm(batch), list(paradigm.parameters())
    projected = [paradigm.projector(paradigm.backbone(view).pooled) for view in (batch, batch.views[0])]
    views = torch.stack([rows / rows.norm(dim=1, keepdim=True) for rows in projected], dim=1)
    expected = nt_xent(views, views, 0, 0.3).loss
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = [torch.autograd.grad(loss, parameters) for loss in (output.loss, expected)]
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    distance = (views[:, 0] - views[:, 1]).square().sum(1).mean()
    assert output.metrics["alignment"].item() == pytest.approx(distance.item())


def test_no_label_is_needed_and_only_the_backbone_is_exported() -> None:
    paradigm, batch = contrastive(**MOMENTUM), two_views()
    unlabelled = replace(batch, labels=None, views=(replace(batch.views[0], labels=None),))
    assert paradigm(unlabelled).loss.isfinite()
    assert dict(paradigm.exported()) == {"backbone": paradigm.backbone}


def test_training_brings_views_of_a_cloud_together_and_clouds_apart() -> None:
    paradigm = contrastive(temperature=0.2)
    optimiser = torch.optim.AdamW(paradigm.parameters(), lr=0.02)
    figures = []
    for step in range(30):
        optimiser.zero_grad()
        output = paradigm(two_views(num_clouds=8, seed=step % 2))
        output.loss.backward()
        optimiser.step()
        figures.append({name: float(value) for name, value in output.metrics.items()})
    assert figures[-1]["loss"] < figures[0]["loss"] - 0.5
    assert figures[-1]["top_1"] > figures[0]["top_1"]


class Penalised(SmallEncoder):
    """Its penalty is the mean over clouds of a number that every cloud has."""

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        found = super().compute(batch, stages)
        penalty = batch.points[:, 0, 0].mean()
        return {name: replace(one, penalty=penalty) for name, one in found.items()}


@pytest.mark.parametrize(
    ("settings", "num_views"),
    [
        ({"kind": "supervised"}, 1),
        ({"kind": "geometric"}, 1),
        ({"kind": "contrastive"}, 2),
        ({"kind": "contrastive", **MOMENTUM}, 1),
        ({"kind": "point_contrast"}, 2),
    ],
)
def test_the_penalty_of_a_backbone_is_added_to_the_loss_but_not_to_the_figure(
    settings: dict[str, Any], num_views: int
) -> None:
    """That of the views which the trained backbone sees, both alike; of MoCo's it sees one."""
    torch.manual_seed(0)
    config = TypeAdapter(ParadigmConfig).validate_python(settings)
    paradigm, batch = build_paradigm(config, Penalised(batch_norm=True), Given(3)).double(), two_views()
    output = paradigm(batch)
    seen = torch.stack([view.points[:, 0, 0] for view in (batch, *batch.views)[:num_views]])
    added = (output.loss - output.metrics["loss"]).item()
    assert added == pytest.approx(seen.mean().item(), rel=1e-5)


def test_the_key_encoder_follows_the_weights_and_has_no_gradients() -> None:
    leader = SmallEncoder(batch_norm=True)
    trailing = TrailingEncoder(leader)
    start = {name: parameter.clone() for name, parameter in leader.named_parameters()}
    with torch.no_grad():
        for parameter in leader.parameters():
            parameter.add_(1)
    trailing.follow(0.75, leader)
    for name, parameter in trailing.copies[0].named_parameters():
        torch.testing.assert_close(parameter, start[name] + 0.25, rtol=1e-12, atol=1e-12)
        assert not parameter.requires_grad


def test_the_queue_holds_the_newest_keys_in_their_order() -> None:
    queue, keys = KeyQueue(5, 2), torch.arange(20.0).view(10, 2)
    drawn = queue.keys.clone()
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(5))
    for micro_batch in (keys[:2], keys[2:3]):
        queue.note(micro_batch)
    assert torch.equal(queue.keys, drawn), "a step is not over before its last micro-batch"
    queue.close_step()
    assert torch.equal(queue.keys, torch.cat([keys[:3], drawn[:2]]))
    queue.note(keys[3:10])  # more than it holds
    queue.close_step()
    assert torch.equal(queue.keys, keys[3:8])


def test_negatives_are_earlier_keys_while_training_and_the_own_batch_in_validation() -> None:
    paradigm, batch = contrastive(**MOMENTUM), two_views()
    paradigm(batch)
    paradigm.after_step(0, 2)
    keys = paradigm.queue.keys.clone()
    with torch.no_grad():
        paradigm.queue.keys.copy_(keys[:1].expand_as(keys))
        crowded = paradigm(batch).loss
        paradigm.queue.keys.copy_(-keys[:1].expand_as(keys))
        assert paradigm(batch).loss != crowded
        paradigm.eval()
        validated = paradigm(batch).loss
        paradigm.queue.keys.copy_(keys)
        assert torch.equal(paradigm(batch).loss, validated)
        assert torch.equal(paradigm.queue.keys, keys)


def test_equal_weights_and_queue_give_the_closed_form() -> None:
    paradigm, batch = contrastive(batch_norm=False, **MOMENTUM), two_views()
    same = replace(batch, views=(batch,))
    key = paradigm.trailing.copies[1](paradigm.trailing.copies[0](same).pooled)[0]
    with torch.no_grad():
        paradigm.queue.keys.copy_((key / key.norm()).expand_as(paradigm.queue.keys))
    one = two_views(num_clouds=1)
    loss = paradigm(
        replace(one, points=batch.points[:1], views=(replace(one, points=batch.points[:1]),))
    ).loss
    assert loss.item() == pytest.approx(math.log(1 + 6), rel=1e-12)


def test_a_queue_of_more_keys_than_half_the_set_is_refused_with_what_would_do() -> None:
    config = ContrastiveConfig.model_validate(MOMENTUM)
    build_paradigm(config, SmallEncoder(batch_norm=True), Given(num_classes=3, num_rows=12))
    with pytest.raises(ConfigError, match=r"queue_size is 6, and there are 11 training .* to 5 or less"):
        build_paradigm(config, SmallEncoder(batch_norm=True), Given(num_classes=3, num_rows=11))


def test_a_queue_and_the_negatives_of_a_micro_batch_contradict() -> None:
    with pytest.raises(ValidationError, match="negatives is micro_batch, but with momentum"):
        ContrastiveConfig.model_validate({**MOMENTUM, "negatives": "micro_batch"})


def state_of(paradigm: Paradigm) -> TrainingState:
    trained = [parameter for parameter in paradigm.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return TrainingState(paradigm, optimiser, scaler, MovingAverage(paradigm.state_dict(keep_vars=True), 0.5))


def take_step(state: TrainingState, step: int) -> Tensor:
    state.optimiser.zero_grad()
    output = state.paradigm.train()(two_views(seed=step))
    output.loss.backward()
    state.optimiser.step()
    assert state.average is not None
    state.average.update()
    state.paradigm.after_step(step, 4)
    state.progress.step = step + 1
    return output.loss.detach()


def test_a_resumed_run_has_the_bits_of_a_straight_one_with_a_queue(tmp_path: Path) -> None:
    straight, run = state_of(contrastive(**MOMENTUM)), Run(Storage(str(tmp_path)), "r")
    for step in range(2):
        take_step(straight, step)
    snapshot = capture(straight)
    assert snapshot is not None
    run.write_checkpoint(2, snapshot.files(), {})
    resumed = state_of(contrastive(seed=1, **MOMENTUM))
    restore(run, resumed)
    for step in range(2, 4):
        assert torch.equal(take_step(straight, step), take_step(resumed, step))
    for one, other in zip(
        straight.paradigm.state_dict().values(), resumed.paradigm.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_validating_a_moving_average_leaves_the_queue_as_it_was() -> None:
    state = state_of(contrastive(**MOMENTUM))
    for step in range(2):
        take_step(state, step)
    before = copy.deepcopy(state.paradigm.state_dict())
    assert state.average is not None
    with torch.no_grad(), state.average.in_place():
        assert state.paradigm.eval()(two_views()).loss.isfinite()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.paradigm.state_dict().items())
