"""Optimisers: which weights decay, how fast each stage learns, one step of SGD written out, and schedules."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from backbones.tiny import TINY
from paradigms.masked_cases import built
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.errors import ConfigError
from pointlab.objectives import HeadConfig
from pointlab.paradigms import Given
from pointlab.paradigms.supervised import Supervised, SupervisedConfig
from pointlab.training import OptimiserConfig, TrainingConfig
from pointlab.training.optimiser import (
    build_optimiser,
    decays,
    depth_scales,
    learning_rate,
    set_learning_rate,
)


def supervised(backbone: str) -> Supervised:
    torch.manual_seed(0)
    head = HeadConfig(kind="linear")
    return Supervised(SupervisedConfig(head=head), build_backbone(TINY[backbone]), Given(num_classes=3))


def optimiser_config(**settings: Any) -> OptimiserConfig:
    return OptimiserConfig.model_validate(settings)


def test_steps_of_sgd_are_those_of_the_formula() -> None:
    """v becomes momentum * v + gradient + decay * weight, and the weight loses rate * v."""
    paradigm = supervised("pointnet")
    config = optimiser_config(kind="sgd", learning_rate=0.1, momentum=0.8, weight_decay=0.01)
    optimiser = build_optimiser(paradigm, config)
    expected = {name: parameter.detach().clone() for name, parameter in paradigm.named_parameters()}
    velocity = {name: torch.zeros_like(weight) for name, weight in expected.items()}
    for rate in (0.1, 0.05):
        set_learning_rate(optimiser, rate)
        optimiser.zero_grad()
        paradigm(two_views()).loss.backward()
        optimiser.step()
        for name, parameter in paradigm.named_parameters():
            assert parameter.grad is not None
            decay = 0.01 if parameter.ndim > 1 else 0
            velocity[name] = 0.8 * velocity[name] + parameter.grad + decay * expected[name]
            expected[name] = expected[name] - rate * velocity[name]
            torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-5, atol=1e-7)


def test_sgd_without_a_scale_of_its_own_is_refused() -> None:
    with pytest.raises(ValidationError, match="weight_decay would be AdamW's"):
        optimiser_config(kind="sgd", learning_rate=0.1)
    written = optimiser_config(kind="sgd", learning_rate=0.1, weight_decay=0).model_dump(mode="json")
    assert optimiser_config(**written).weight_decay == 0


SPARED = {
    "masked": ("backbone.class_token", "decoder.mask_token", "backbone.norm.weight", "to_points.bias"),
    "act-autoencoder": (
        "autoencoder.prompting.prompt_tokens",
        "autoencoder.prompting.deep_tokens",
        "autoencoder.prompting.enter.bias",
        "autoencoder.second_graph.norm.weight",
        "autoencoder.decoder.join_norm.weight",
    ),
    "recon": ("backbone.query_tokens.class", "head.0.bias"),
}
DECAYING = {
    "masked": ("backbone.class_position", "backbone.embedder.mix.weight", "to_points.weight"),
    "act-autoencoder": (
        "autoencoder.prompting.prompt_positions",
        "autoencoder.prompting.deep_positions",
        "autoencoder.codebook.entries",
    ),
    "recon": ("backbone.query_positions.class", "head.0.weight"),
}


@pytest.mark.parametrize("name", SPARED)
def test_biases_norms_and_tokens_do_not_decay_but_positions_and_codes_do(name: str) -> None:
    paradigm = supervised(name) if name == "recon" else built(name)
    groups = build_optimiser(paradigm, optimiser_config(weight_decay=0.2)).param_groups
    decay = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    parameters = dict(paradigm.named_parameters())
    assert [decay[id(parameters[one])] for one in SPARED[name]] == [0.0] * len(SPARED[name])
    assert [decay[id(parameters[one])] for one in DECAYING[name]] == [0.2] * len(DECAYING[name])


def test_an_embedding_of_tokens_is_a_weight_and_no_token() -> None:
    table = torch.nn.Parameter(torch.zeros(4, 2))
    assert decays("network.text_model.embeddings.token_embedding.weight", table)
    assert not decays("network.vision_model.embeddings.cls_token", table)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 5}, "warmup_epochs 10 exceeds epochs 5"),
        (
            {"minimum_learning_rate": 0.1},
            r"minimum_learning_rate 0\.1 exceeds optimiser\.learning_rate",
        ),
    ],
)
def test_schedules_that_do_not_fit_the_run_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TrainingConfig.model_validate(settings)


@pytest.mark.parametrize("name", ["dgcnn", "pointnet2", "pointnet2-decoder"])
def test_each_stage_below_the_head_learns_slower_by_the_same_factor(name: str) -> None:
    """A decoder lies beyond the stage that heads read: it takes no part in the depth."""
    paradigm = supervised(name)
    backbone, scales = paradigm.backbone, depth_scales(paradigm, 0.5)
    top = backbone.stages.index(backbone.pooled_stage)
    for place, (_, members) in enumerate(backbone.parameters_by_depth()):
        assert {scales[parameter] for _, parameter in members} == {0.5 ** max(0, top + 1 - place)}
    optimiser = build_optimiser(paradigm, optimiser_config(layer_decay=0.5))
    set_learning_rate(optimiser, 0.2)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates[id(paradigm.head[0].weight)] == 0.2
    for parameter in backbone.parameters():
        assert rates[id(parameter)] == 0.2 * scales[parameter]


CLASS_ROWS = {
    "patch_transformer": {"class_token", "class_position"},
    "recon": {"query_tokens.class", "query_positions.class"},
    "dgcnn": set[str](),
}


@pytest.mark.parametrize("name", CLASS_ROWS)
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_head_and_class_token_or_query_learn_faster_by_the_factor_and_nothing_else(
    name: str, layer_decay: float
) -> None:
    """As in ReCon's released fine-tuning, where names with `cls` in them say which; depth counts beside."""
    paradigm = supervised(name)
    names = {parameter: one for one, parameter in paradigm.named_parameters()}
    rates: dict[float, dict[str, float]] = {}
    for factor in (1.0, 10.0):
        config = optimiser_config(head_learning_rate_factor=factor, layer_decay=layer_decay)
        optimiser = build_optimiser(paradigm, config)
        set_learning_rate(optimiser, 0.01)
        rates[factor] = {names[p]: group["lr"] for group in optimiser.param_groups for p in group["params"]}
    faster = {one for one in rates[1.0] if rates[10.0][one] == pytest.approx(10 * rates[1.0][one])}
    assert faster == {"head.0.weight", "head.0.bias"} | {f"backbone.{one}" for one in CLASS_ROWS[name]}
    assert all(rates[10.0][one] == rates[1.0][one] for one in rates[1.0].keys() - faster)


def test_a_factor_for_a_head_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match="head_learning_rate_factor is 10, and Masked has no head"):
        build_optimiser(built("masked"), optimiser_config(head_learning_rate_factor=10))


def released(epoch: float, **settings: Any) -> float:
    """The rate at this point of 301 epochs of 8 steps, in the released code's schedule."""
    optimiser = {"learning_rate": 1e-3}
    config = TrainingConfig.model_validate(
        {"schedule": "released", "epochs": 301, "optimiser": optimiser} | settings
    )
    return learning_rate(round(8 * epoch), 301 * 8, 8.0, config)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 1e-6),
        (1, 1e-6),
        (2, 1e-6 + (1e-3 - 1e-6) / 10),
        (10, 1e-6 + 9 * (1e-3 - 1e-6) / 10),
        (11, 1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * 10 / 300)) / 2),
        (151, (1e-3 + 1e-6) / 2),
        (300, 1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * 299 / 300)) / 2),
    ],
)
def test_the_released_schedule_moves_on_after_each_epoch_and_counts_the_warm_up_in(
    epoch: int, expected: float
) -> None:
    """Epoch e has the rate of t = max(e - 1, 0): 1e-6 + t (base - 1e-6) / 10 below 10, then the cosine of
    t / 300; all its steps have one rate."""
    assert released(epoch) == pytest.approx(expected, rel=1e-12)
    assert released(epoch + 7 / 8) == released(epoch)


def test_the_released_warm_up_begins_at_one_millionth_whatever_the_minimum() -> None:
    """ACT's minimum is 1e-7."""
    assert released(0, minimum_learning_rate=1e-7) == 1e-6
    assert released(300, minimum_learning_rate=1e-7) < released(300)


def test_the_released_epochs_are_those_of_a_set_that_batches_do_not_divide() -> None:
    """10 samples in batches of 3: epochs begin within steps, and each step goes by its first sample."""
    config = TrainingConfig(schedule="released", epochs=6, batch_size=3, warmup_epochs=2)
    rates = [learning_rate(step, 20, 10 / 3, config) for step in range(20)]
    starts = [step for step in range(1, 20) if rates[step] != rates[step - 1]]
    assert starts == [7, 10, 14, 17]


def test_the_smooth_schedule_rises_through_the_warm_up_and_falls_to_the_minimum() -> None:
    config = TrainingConfig(epochs=4, warmup_epochs=1, minimum_learning_rate=1e-5)
    rates = [learning_rate(step, 40, 10.0, config) for step in range(41)]
    assert rates[9] == rates[10] == max(rates) == config.optimiser.learning_rate
    assert rates[0] == pytest.approx(1e-5 + (5e-4 - 1e-5) / 10)
    assert rates[25] == pytest.approx((5e-4 + 1e-5) / 2)
    assert rates[40] == pytest.approx(1e-5)
