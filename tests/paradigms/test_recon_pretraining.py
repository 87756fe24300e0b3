"""ReCon: each loss, what its gradients reach, and any subset of the modalities."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.tiny import TINY
from conftest import PRETRAIN
from paradigms.providers import SmallPictureNetwork, always, with_providers
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.backbones.recon import ReconConfig
from pointlab.config import merge, validate
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.experiment import PretrainExperiment
from pointlab.objectives.targets import PictureFeatures, TextFeatures
from pointlab.paradigms import Given, ReconParadigmConfig
from pointlab.paradigms.base import StepOutput
from pointlab.paradigms.recon import Recon, smooth_l1_where_there
from pointlab.training.checkpoint import own_state

LOSSES = {"image": "image", "text": "text", "contrast": "class"}
"""The losses on queries, and the query of each."""
SUBSETS = [subset for size in range(4) for subset in combinations(LOSSES, size)]


def recon(*losses: str, **changes: Any) -> Recon:
    """A tiny paradigm with these losses beside the reconstruction; nothing but the mask is drawn."""
    torch.manual_seed(0)
    weights = {f"{loss}_weight": float(loss in losses) for loss in LOSSES}
    decoder = {"depth": 1, "num_heads": 2, "drop_path_rate": 0}
    config = ReconParadigmConfig.model_validate({"decoder": decoder, **weights, **changes})
    backbone = build_backbone(TINY["recon"].model_copy(update={"drop_path_rate": 0.0}))
    torch.manual_seed(1)  # what is beside the others is drawn last
    paradigm = Recon(config, backbone, with_providers(config))
    paradigm.freeze()
    return paradigm


def step(paradigm: Recon, batch: PointBatch | None = None) -> StepOutput:
    torch.manual_seed(3)
    output: StepOutput = paradigm(batch or two_views())
    return output


def smooth_l1(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def test_the_losses_on_image_and_text_are_mean_smooth_l1_differences_to_what_is_there() -> None:
    paradigm, batch = recon("image", "text").eval(), two_views()
    asked: list[Tensor] = []
    for projection in (paradigm.image_projection, paradigm.text_projection):
        projection.register_forward_hook(lambda *heard: asked.append(heard[2]))
    metrics = step(paradigm, batch).metrics
    pictures, texts = always((8, 6)), always((2, 5))
    targets = ([pictures[0], pictures[1], pictures[2], None], [texts[0], texts[1], texts[0], None])
    for name, said, wanted in zip(("image", "text"), asked, targets, strict=True):
        pairs = [(row, target) for row, target in zip(said, wanted, strict=True) if target is not None]
        total = sum(smooth_l1(d) for row, target in pairs for d in (row - target).tolist())
        assert metrics[name].item() == pytest.approx(total / said.numel(), rel=1e-5)
        assert metrics[f"has_{name}"].item() == 0.75


def test_what_is_missing_counts_as_no_difference_by_hand() -> None:
    said = torch.tensor([[2.0, 0.0], [9.0, 9.0]], requires_grad=True)
    features, is_there = torch.tensor([[0.0, 0.5], [0.0, 0.0]]), torch.tensor([True, False])
    loss = smooth_l1_where_there(said, features, is_there)
    assert loss.item() == (1.5 + 0.125) / 4
    loss.backward()
    assert said.grad is not None
    assert said.grad.tolist() == [[0.25, -0.125], [0, 0]]


def test_a_batch_without_pictures_and_captions_trains_on_its_points() -> None:
    nothing = torch.full((4,), -1)
    batch = replace(two_views(), picture_numbers=nothing, captions=nothing)
    paradigm = recon(*LOSSES).train()
    output = step(paradigm, batch)
    output.loss.backward()
    assert output.metrics["image"] == output.metrics["text"] == output.metrics["has_text"] == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in paradigm.parameters())
    assert not paradigm.image_projection.weight.grad.any()


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_any_subset_of_the_losses_is_summed_by_weight_and_what_is_not_asked_rests(
    subset: tuple[str, ...],
) -> None:
    weights = {"reconstruction_weight": 2.0, **{f"{loss}_weight": 0.5 for loss in subset}}
    paradigm = recon(**weights).train()
    output = step(paradigm)
    expected = 2 * output.metrics["reconstruction"] + 0.5 * sum(output.metrics[loss] for loss in subset)
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    resting = {name for name, p in paradigm.named_parameters() if p.grad is None}
    queries = {name for name, _ in paradigm.named_parameters() if "query_" in name}
    unasked = {LOSSES[loss] for loss in LOSSES if loss not in subset}
    own = {f"backbone.query_{what}.{query}" for what in ("tokens", "positions") for query in unasked}
    assert resting == (own if subset else queries)
    projections = {f"{LOSSES[loss]}_projection" for loss in subset}
    assert paradigm.exported().keys() == {"backbone", "decoder", "to_points"} | projections
    needs = {"image": {"picture_numbers"}, "text": {"captions"}, "contrast": {"captions"}}
    assert set(paradigm.inputs) == set().union(*(needs[loss] for loss in subset))


@pytest.mark.parametrize("loss", LOSSES)
def test_no_gradient_of_a_loss_on_a_query_reaches_the_patches_but_by_the_shared_norm(loss: str) -> None:
    """Bit for bit: the patches' gradients with the loss are those without it."""
    gradients = []
    for paradigm in (recon(), recon(loss)):
        step(paradigm.train()).loss.backward()
        gradients.append({name: p.grad for name, p in paradigm.named_parameters() if p.grad is not None})
    without, beside = gradients
    differing = {name for name, gradient in without.items() if not torch.equal(gradient, beside[name])}
    assert differing == {"backbone.norm.weight", "backbone.norm.bias"}
    moved = {name for name in beside.keys() - without.keys() if beside[name].any()}
    assert f"backbone.query_tokens.{LOSSES[loss]}" in moved
    assert "backbone.blocks.0.query_attention.key_value.weight" in moved


def test_in_fine_tuning_the_same_losses_reach_every_parameter_of_the_patches() -> None:
    """A backbone's `forward` is what heads read, its queries first."""
    paradigm = recon("image").train()
    queries = paradigm.backbone(two_views()).pooled.unflatten(1, (4, -1))[:, 1]
    is_there = torch.ones(4, dtype=torch.bool)
    smooth_l1_where_there(paradigm.image_projection(queries), always((4, 6)), is_there).backward()
    for name, parameter in paradigm.backbone.named_parameters():
        is_last_of_the_patches = name.startswith("blocks.1.local_") and "attention_norm" not in name
        if not (name.startswith(("query_", "norm")) or is_last_of_the_patches):
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_pictures_are_varied_while_training_alone_and_their_network_stays_as_it_is() -> None:
    paradigm, batch = recon("image", image_augmentation={"shift": 2}), two_views()
    (network,) = paradigm.frozen()
    assert isinstance(network, SmallPictureNetwork)
    assert set(paradigm.inputs) == {"pictures", "picture_numbers"}
    step(paradigm.train(), batch).loss.backward()
    assert not torch.equal(network.shown, batch.pictures)
    assert (network.shown.dtype, network.shown.shape) == (torch.uint8, (4, 4, 4, 3))
    step(paradigm.eval(), batch)
    assert torch.equal(network.shown, batch.pictures)
    assert network.mix.grad is None
    assert paradigm.exported().keys() == {"backbone", "decoder", "to_points", "image_projection"}
    assert not [name for name in own_state(paradigm) if "network" in name]


@pytest.mark.parametrize("text", ["captions", "class_names"])
def test_sentences_are_drawn_while_training_and_settled_in_validation(text: str) -> None:
    """Targets come in eval mode; which sentences they tell is up to the paradigm's own mode."""
    paradigm = recon("text", text=text, templates="recon")
    targets = paradigm.targets["text"].eval()
    assert paradigm.inputs == (("captions",) if text == "captions" else ())
    for mode in (True, False):
        paradigm.train(mode)
        told = {tuple(targets(two_views())[0][0].tolist()) for _ in range(20)}
        assert (len(told) > 1) is mode


def as_wide_as_the_paper_s() -> Given:
    """Teachers with as many channels."""
    pictures = PictureFeatures(torch.zeros(1, 768))
    texts = TextFeatures("captions", [5], torch.zeros(1, 1, 512))
    return Given(num_classes=55, providers={"image_teacher": pictures, "text_teacher": texts})


def test_projections_begin_as_in_the_released_code() -> None:
    torch.manual_seed(0)
    paradigm = Recon(
        ReconParadigmConfig(contrast_weight=1), build_backbone(ReconConfig(depth=1)), as_wide_as_the_paper_s()
    )
    of_classes: Any = paradigm.class_projection
    for layer, shape in (
        (paradigm.image_projection, (768, 384)),
        (paradigm.text_projection, (512, 384)),
        (of_classes[0], (128, 384)),
        (of_classes[3], (128, 128)),
    ):
        assert layer.weight.shape == shape
        assert layer.weight.mean().item() == pytest.approx(0.02, abs=1e-3)
        assert layer.weight.std().item() == pytest.approx(0.01, abs=1e-3)
        assert not layer.bias.any()


def test_a_pretraining_network_has_as_many_parameters_as_the_paper() -> None:
    """50.8M are trained, with features of 768 and 512 channels."""
    with torch.device("meta"):
        paradigm = Recon(ReconParadigmConfig(), build_backbone(ReconConfig()), as_wide_as_the_paper_s())
    assert round(sum(parameter.numel() for parameter in paradigm.parameters()) / 1e6, 1) == 50.8


def test_a_teacher_that_a_weight_needs_is_asked_for() -> None:
    config = ReconParadigmConfig(text_weight=0)
    with pytest.raises(ConfigError, match=r"features of pictures.* none as image_teacher"):
        Recon(config, build_backbone(TINY["recon"]), Given(num_classes=3))


@pytest.mark.parametrize(
    ("paradigm", "told"),
    [
        (
            {"contrast_weight": 1.0, "image_weight": 0},
            r"contrast_weight is 1\.0, and backbone\.queries are text",
        ),
        ({"image_weight": 0.5}, r"image_weight is 0\.5, .*the query image among them"),
        ({"image_weight": 0, "mask": {"ratio": 0.1}}, "hides 0 of 8 patches"),
        ({"image_weight": 0, "reconstruction_weight": 0}, r"reconstruction_weight"),
    ],
)
def test_a_weight_whose_query_is_missing_is_refused_before_any_teacher_is_made(
    paradigm: dict[str, Any], told: str
) -> None:
    backbone = {"kind": "recon", "queries": ["text"], "num_groups": 8, "group_size": 4}
    own = {
        "backbone": backbone,
        "paradigm": {"kind": "recon", **paradigm},
        "data": {"source": {"num_views": 2}},
    }
    settings = merge(PRETRAIN, own)
    with pytest.raises(ConfigError, match=told):
        validate(PretrainExperiment, settings, "test")
