"""Released checkpoints load with equal outputs, every key explained, and go back byte for byte."""

from typing import Any

import naive
import pytest
import released
import torch
from released import TINY, Size
from torch import Tensor

from pointlab.backbones import PatchTransformer, ReconTransformer
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.patches import Patches
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.objectives import HeadConfig, build_head
from pointlab.objectives.decoders import MaskedDecoder
from pointlab.objectives.targets import Latents
from pointlab.official import (
    LAYOUTS,
    Imported,
    LayoutName,
    Unstored,
    export_checkpoint,
    export_weights,
    import_checkpoint,
)
from pointlab.official.card import card_of
from pointlab.training.even_start import EvenStart

COUNTS = {
    "point_mae_pretrain": 209,
    "point_mae_classifier": 174,
    "point_bert_classifier": 164,
    "act_autoencoder": 233,
    "act_pretrain": 428,
    "recon_pretrain": 363,
    "recon_classifier": 322,
}
PARAMETERS = {"point_mae_pretrain": 29.01e6, "point_bert_classifier": 22.07e6}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def patches() -> Patches:
    generator = torch.Generator().manual_seed(3)
    return Patches(
        torch.randn(2, 8, 3, generator=generator),
        0.2 * torch.randn(2, 8, TINY.members, 3, generator=generator),
        torch.zeros(2, 8, TINY.members, dtype=torch.int64),
    )


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    return {name: released.filled(shapes(TINY)) for name, shapes in released.LAYOUTS.items()}


def stage_one(
    state: dict[str, Tensor], patches: Patches, channels: int = 64
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Logits, latents of the likeliest codes, coarse and fine points; with heads of so many channels."""
    tokens = naive.embed(naive.under(state, "encoder."), patches.neighbourhoods)
    logits = naive.graph(naive.under(state, "dgcnn_1."), tokens, patches.centres)
    codes = state["codebook"][logits.argmax(2)]
    seen = naive.through_foreign(state, codes, patches.centres, channels)
    latents = naive.graph(naive.under(state, "dgcnn_2."), seen, patches.centres)
    return logits, latents, naive.fold(naive.under(state, "decoder."), latents)


@pytest.mark.parametrize("layout", COUNTS)
def test_a_checkpoint_is_recognised_and_goes_back_byte_for_byte(
    layout: str, states: dict[str, dict[str, Tensor]]
) -> None:
    state = states[layout]
    imported = import_checkpoint({"base_model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3})
    assert imported.layout == layout
    assert imported.notes == {"epoch": "3"}
    assert {*imported.report.mapped, *imported.report.unused} == state.keys()
    assert not imported.report.dropped
    back = export_checkpoint(imported).weights
    assert back.keys() == state.keys()
    assert all(back[key].shape == state[key].shape and torch.equal(back[key], state[key]) for key in state)


@pytest.mark.parametrize("layout", COUNTS)
def test_released_sizes_have_the_released_number_of_keys(layout: str) -> None:
    assert len(released.LAYOUTS[layout](Size())) == COUNTS[layout]


@pytest.mark.parametrize(("layout", "expected"), PARAMETERS.items())
def test_a_released_size_builds_the_papers_network(layout: str, expected: float) -> None:
    state = {
        name: torch.ones(()).expand(shape) if "num_batches" not in name else torch.tensor(1)
        for name, shape in released.LAYOUTS[layout](Size()).items()
    }
    imported = import_checkpoint(state)
    found = sum(p.numel() for module in imported.modules.values() for p in module.parameters())
    assert found == pytest.approx(expected, rel=2e-4)
    config = imported.backbone_config
    assert config.skip_near_origin
    assert (config.num_groups, config.group_size) == (64, 32)
    assert getattr(config, "num_heads", 6) == 6


@pytest.mark.parametrize(
    ("layout", "method", "head"),
    [("point_mae_pretrain", "MAE", "increase_dim.0"), ("act_pretrain", "ACT", "proj_head")],
)
def test_masked_networks_equal_the_papers(
    layout: str,
    method: str,
    head: str,
    states: dict[str, dict[str, Tensor]],
    patches: Patches,
) -> None:
    state, imported = states[layout], import_checkpoint(states[layout])
    backbone, decodes = imported.modules["backbone"], imported.modules["decoder"]
    assert isinstance(backbone, PatchTransformer)
    assert isinstance(decodes, MaskedDecoder)
    seen, unseen = patches.centres[:, :3], patches.centres[:, 3:]
    tokens = backbone.embed(patches)
    student = naive.under(state, f"{method}_encoder.")
    expected = naive.embed(naive.under(student, "encoder."), patches.neighbourhoods)
    torch.testing.assert_close(tokens, expected, **CLOSE)
    latent = naive.encode(student, expected[:, :3], seen)[:, -3:]
    torch.testing.assert_close(backbone.encode(tokens[:, :3], seen), latent, **CLOSE)
    decoded = naive.decode(state, f"{method}_decoder", latent, seen, unseen)
    torch.testing.assert_close(decodes(latent, seen, unseen), decoded, **CLOSE)
    last = imported.modules["to_points" if "increase" in head else "to_latents"]
    torch.testing.assert_close(last(decoded), naive.linear(state, head, decoded), **CLOSE)


@pytest.mark.parametrize("shapes", [released.point_mae_classifier, released.linear_classifier])
def test_classifiers_equal_the_papers(shapes: object, patches: Patches) -> None:
    check_classifier(released.filled(shapes(TINY)), patches)  # type: ignore[operator]


def test_point_berts_classifier_equals_the_papers(
    states: dict[str, dict[str, Tensor]], patches: Patches
) -> None:
    check_classifier(states["point_bert_classifier"], patches)


def check_classifier(state: dict[str, Tensor], patches: Patches) -> None:
    imported = import_checkpoint(state)
    backbone = imported.modules["backbone"]
    assert isinstance(backbone, PatchTransformer)
    tokens = naive.embed(naive.under(state, "encoder."), patches.neighbourhoods)
    if "reduce_dim.weight" in state:
        tokens = naive.linear(state, "reduce_dim", tokens)
    torch.testing.assert_close(backbone.embed(patches), tokens, **CLOSE)
    stage = backbone.stages[-1]
    features = backbone.encode_stages(tokens, patches.centres, {stage})[stage]
    encoded = naive.encode(state, tokens, patches.centres)
    expected = naive.classify(naive.under(state, "cls_head_finetune."), encoded)
    torch.testing.assert_close(imported.modules["head"](features.pooled), expected, **CLOSE)
    assert expected.shape == (2, TINY.classes)


def test_recon_equals_the_paper(states: dict[str, dict[str, Tensor]], patches: Patches) -> None:
    state = states["recon_classifier"]
    imported = import_checkpoint(state)
    backbone = imported.modules["backbone"]
    assert isinstance(backbone, ReconTransformer)
    tokens, stage = backbone.embed(patches), backbone.stages[-1]
    features = backbone.encode_stages(tokens, patches.centres, {stage})[stage]
    encoded = naive.recon_encode(state, tokens, patches.centres)
    expected = naive.classify(naive.under(state, "cls_head_finetune."), encoded, num_queries=3)
    torch.testing.assert_close(features.tokens, encoded[:, 3:], **CLOSE)
    torch.testing.assert_close(imported.modules["head"](features.pooled), expected, **CLOSE)


def test_acts_autoencoder_equals_the_paper(states: dict[str, dict[str, Tensor]], patches: Patches) -> None:
    state = states["act_autoencoder"]
    modules = import_checkpoint(state).modules
    logits, latents, points = stage_one(state, patches)
    tokens = modules["backbone"].embed(patches)
    found = modules["autoencoder"].logits(tokens, patches.centres)
    torch.testing.assert_close(found, logits, **CLOSE)
    taught = modules["autoencoder"].latents(logits, patches.centres, modules["foreign"], "likeliest")
    torch.testing.assert_close(taught, latents, **CLOSE)
    for one, other in zip(modules["autoencoder"].decoder(latents), points, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_prompts_may_be_shallow_and_heads_narrower_than_the_papers(
    states: dict[str, dict[str, Tensor]], patches: Patches
) -> None:
    state = {key: tensor for key, tensor in states["act_autoencoder"].items() if "deep" not in key}
    imported = import_checkpoint(state, unstored=Unstored(teacher_heads=4))
    modules, (logits, expected, _) = imported.modules, stage_one(state, patches, channels=32)
    found = modules["autoencoder"].latents(logits, patches.centres, modules["foreign"], "likeliest")
    torch.testing.assert_close(found, expected, **CLOSE)
    assert export_checkpoint(imported).weights.keys() == state.keys()


def test_a_zero_shot_recon_has_projections_in_place_of_a_head() -> None:
    state = released.filled(released.recon_zero_shot(TINY))
    imported = import_checkpoint(state)
    assert imported.layout == "recon_classifier"
    assert imported.modules.keys() == {"backbone", "image_projection", "text_projection"}
    back = export_checkpoint(imported).weights
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_the_stage_one_inside_a_student_is_its_teacher(
    states: dict[str, dict[str, Tensor]], patches: Patches
) -> None:
    state = states["act_pretrain"]
    imported = import_checkpoint(state)
    teacher = imported.modules["latents"]
    assert isinstance(teacher, Latents)
    _, expected, _ = stage_one(naive.under(state, "dvae_tokenizer."), patches)
    torch.testing.assert_close(teacher(patches), expected, **CLOSE)
    assert {"ACT_encoder.lm_head.weight", "ACT_encoder.cls_head.2.bias"} <= imported.report.unused.keys()


def test_centres_are_sampled_as_in_the_reference(states: dict[str, dict[str, Tensor]]) -> None:
    points = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0))
    points[0, 5] = 0.01  # farther from some than all others would be, and never chosen
    backbone = import_checkpoint(states["point_mae_pretrain"], unstored=Unstored(num_groups=39)).modules[
        "backbone"
    ]
    batch = PointBatch(points, torch.tensor([40]), torch.tensor([0]))
    centres = backbone.group(batch).centres
    assert torch.equal(centres[0, 0], points[0, 0])
    assert not (centres == 0.01).all(2).any()


@pytest.mark.parametrize("layout", ["point_mae_pretrain", "point_mae_classifier", "act_pretrain"])
@pytest.mark.parametrize("name", ["recon_pretrain", "recon_classifier"])
def test_recons_weights_never_become_standard_blocks(
    layout: str, name: str, states: dict[str, dict[str, Tensor]]
) -> None:
    with pytest.raises(DataError, match="other arithmetic"):
        import_checkpoint(states[name], layout, drop=["*contrast*", "*img_*", "*text_*"])  # type: ignore[arg-type]


def test_a_key_that_nothing_explains_is_refused_unless_it_is_named(
    states: dict[str, dict[str, Tensor]],
) -> None:
    state = {**states["point_mae_classifier"], "extra.weight": torch.ones(2)}
    with pytest.raises(DataError, match=r"extra\.weight"):
        import_checkpoint(state)
    dropped = import_checkpoint(state, drop=["extra.*"]).report.dropped
    assert dropped == {"extra.weight": "named to be dropped"}
    with pytest.raises(ConfigError, match=r"drop names 'extra\.\?', which no key matches"):
        import_checkpoint(state, drop=["extra.*", "extra.?"])


def test_missing_weights_are_refused_and_missing_counts_are_filled(
    states: dict[str, dict[str, Tensor]],
) -> None:
    state = states["point_mae_classifier"]
    counts = [key for key in state if key.endswith("num_batches_tracked")]
    imported = import_checkpoint({key: tensor for key, tensor in state.items() if key not in counts})
    assert set(imported.report.missing) == set(counts)
    head = imported.modules["head"]
    before, even = head.state_dict()["1.running_mean"].clone(), EvenStart(head.train())
    head(torch.zeros(2, 2 * TINY.width))
    even.end()
    after = head.state_dict()
    torch.testing.assert_close(after["1.running_mean"], 0.9 * before + 0.1 * after["0.bias"])
    with pytest.raises(DataError, match=r"norm\.bias"):
        import_checkpoint({key: tensor for key, tensor in state.items() if key != "norm.bias"})


def test_an_encoder_alone_is_read_and_goes_back(states: dict[str, dict[str, Tensor]]) -> None:
    state = {k: v for k, v in states["point_mae_pretrain"].items() if k.startswith("MAE_encoder.")}
    imported = import_checkpoint(state)
    assert imported.modules.keys() == {"backbone"}
    assert imported.report.absent.keys() == {"decoder", "to_points"}
    assert export_checkpoint(imported).weights.keys() == state.keys()


def test_what_fits_no_layout_or_several_is_named(states: dict[str, dict[str, Tensor]]) -> None:
    with pytest.raises(DataError, match=r"Point-M2AE, which is not read"):
        import_checkpoint({"h_encoder.token_embed.0.weight": torch.ones(2)})
    one = torch.ones(1)
    for state, looks in (
        ({"encoder.first_conv.0.weight": one, "propagation_0_cls.bns.0.bias": one}, "a segmentation network"),
        ({**states["recon_classifier"], "label_conv.0.weight": torch.ones(2)}, "a segmentation network"),
        (around(states["act_autoencoder"], "attn.in_proj_weight"), "ACT around another network"),
        (around(states["act_pretrain"], "mlp_tokens.fc1.weight"), "ACT around another network"),
    ):
        with pytest.raises(DataError, match=looks):
            import_checkpoint(state)
    both = {**states["point_mae_classifier"], **states["act_autoencoder"]}
    with pytest.raises(DataError, match="fit point_mae_classifier and act_autoencoder"):
        import_checkpoint(both)


def around(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """A stage I with other layers in its transformer."""
    kept = {key: tensor for key, tensor in state.items() if "visual_embed.0." not in key}
    beginning = "dvae_tokenizer." if "ACT_encoder.norm.weight" in state else ""
    return {**kept, f"{beginning}visual_embed.0.0.{name}": torch.ones(1)}


def test_a_decoder_that_rebuilds_other_patches_is_refused(states: dict[str, dict[str, Tensor]]) -> None:
    state = states["point_mae_pretrain"]
    with pytest.raises(ConfigError, match="group_size is 9, and a decoder in the file rebuilds 8 points"):
        import_checkpoint(state, unstored=Unstored(group_size=9))
    rows = {f"increase_dim.0.{leaf}": state[f"increase_dim.0.{leaf}"][:-1] for leaf in ("weight", "bias")}
    with pytest.raises(DataError, match="has 23 rows"):
        import_checkpoint({**state, **rows})


def test_a_shape_that_contradicts_the_others_is_refused(states: dict[str, dict[str, Tensor]]) -> None:
    state = {**states["point_mae_pretrain"], "MAE_encoder.norm.bias": torch.ones(3)}
    with pytest.raises(DataError, match=r"MAE_encoder\.norm\.bias has shape \(3,\)"):
        import_checkpoint(state)


def test_heads_of_attention_are_asked_for_where_shapes_do_not_tell() -> None:
    state = released.filled(released.point_mae_classifier(Size(width=24, depth=1, embedder=(4, 4, 4))))
    with pytest.raises(ConfigError, match="num_heads"):
        import_checkpoint(state)
    imported: Imported = import_checkpoint(state, unstored=Unstored(num_heads=3))
    assert imported.backbone_config.model_dump()["num_heads"] == 3


def test_a_class_token_that_was_not_trained_stays_behind_and_is_told() -> None:
    config = PatchTransformerConfig(width=64, depth=1, num_heads=1, embedder_widths=(4, 4, 4))
    states = {"backbone": PatchTransformer(config).state_dict()}
    exported = export_weights(states, "point_mae_pretrain", config)
    assert exported.left_out.keys() == {"backbone.class_token", "backbone.class_position"}
    card = card_of("my-run", exported, {"backbone": config.model_dump()})
    assert "class_token: this layout has no class token" in card
    assert "decoder: the run has none" in card
    assert "taken, unlike in the reference" in card
    assert import_checkpoint(exported.weights).layout == "point_mae_pretrain"
    with pytest.raises(DataError, match="kind patch_transformer has no place in recon_pretrain"):
        export_weights(states, "recon_pretrain", config)


SMALL: dict[str, Any] = {
    "width": 64,
    "depth": 1,
    "num_heads": 4,
    "embedder_widths": (4, 4, 4),
    "mlp_ratio": 2,
}


@pytest.mark.parametrize(
    ("changes", "head", "layouts"),
    [
        ({}, "linear", {"point_mae_classifier"}),
        ({}, "mlp2", set()),
        ({}, "mlp3", {"point_mae_classifier"}),
        ({}, None, {"point_mae_classifier", "act_pretrain", "point_mae_pretrain"}),
        ({"class_token": False}, None, {"point_mae_pretrain"}),
        ({"embedder_outputs": 8}, "mlp2", {"point_bert_classifier"}),
        ({"embedder_outputs": 8}, "mlp3", set()),
        ({"embedder_outputs": 8, "class_token": False}, None, set()),
        ({"num_groups": 9, "group_size": 7, "skip_near_origin": True}, None, {"act_pretrain"}),
    ],
)
def test_only_what_its_readers_build_is_written_in_a_layout(
    changes: dict[str, Any], head: Any, layouts: set[LayoutName]
) -> None:
    config = PatchTransformerConfig(**{**SMALL, **changes})
    states = {"backbone": PatchTransformer(config).state_dict()}
    if head is not None:
        states["head"] = build_head(HeadConfig(kind=head), 2 * config.width, 5).state_dict()
    for layout in layouts:
        exported = export_weights(states, layout, config)
        assert import_checkpoint(exported.weights, layout, unstored=exported.unstored).layout == layout
    others = {"point_mae_pretrain", "point_mae_classifier", "point_bert_classifier", "act_pretrain"} - layouts
    for layout in others if not changes.get("num_groups") else ():
        with pytest.raises(DataError, match="not to be written") as caught:
            export_weights(states, layout, config)  # type: ignore[arg-type]
        assert LAYOUTS[layout].wants in str(caught.value)  # type: ignore[index]


def test_a_card_tells_what_is_otherwise_than_in_the_file(states: dict[str, dict[str, Tensor]]) -> None:
    state = {**states["point_mae_classifier"], "extra.a": torch.ones(1), "extra.b": torch.ones(1)}
    del state["encoder.first_conv.1.num_batches_tracked"]
    state["norm.weight"] = state["norm.weight"].half()
    imported = import_checkpoint(state, drop=["extra.*"])
    details = {"backbone": imported.backbone_config.model_dump(), "changes": imported.report.changes()}
    card = card_of("run", export_checkpoint(imported), details)
    assert "- 2 keys dropped: named to be dropped: extra.a, extra.b." in card
    assert "- 1 key missing: taken as 1,000" in card
    assert "- 1 key converted: stored as float16, here float32: norm.weight." in card


def test_torchs_generator_is_left_as_it_was(states: dict[str, dict[str, Tensor]]) -> None:
    before = torch.get_rng_state()
    import_checkpoint(states["point_mae_pretrain"])
    assert torch.equal(torch.get_rng_state(), before)
