"""Released checkpoints load with equal outputs, every key explained, and go back byte for byte."""

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
from pointlab.objectives.decoders import MaskedDecoder
from pointlab.objectives.targets import Latents
from pointlab.official import Imported, Unstored, export_checkpoint, export_weights, import_checkpoint
from pointlab.official.card import card_of

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


def stage_one(state: dict[str, Tensor], patches: Patches) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Logits, latents of the likeliest codes, coarse and fine points."""
    tokens = naive.embed(naive.under(state, "encoder."), patches.neighbourhoods)
    logits = naive.graph(naive.under(state, "dgcnn_1."), tokens, patches.centres)
    codes = state["codebook"][logits.argmax(2)]
    seen = naive.through_foreign(state, codes, patches.centres)
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
    assert import_checkpoint(state, drop=["extra.*"]).report.dropped == {
        "extra.weight": "named to be dropped"
    }


def test_missing_weights_are_refused_and_missing_counts_are_filled(
    states: dict[str, dict[str, Tensor]],
) -> None:
    state = states["point_mae_classifier"]
    counts = [key for key in state if key.endswith("num_batches_tracked")]
    imported = import_checkpoint({key: tensor for key, tensor in state.items() if key not in counts})
    assert set(imported.report.missing) == set(counts)
    with pytest.raises(DataError, match=r"norm\.bias"):
        import_checkpoint({key: tensor for key, tensor in state.items() if key != "norm.bias"})


def test_an_encoder_alone_is_read_and_goes_back(states: dict[str, dict[str, Tensor]]) -> None:
    state = {k: v for k, v in states["point_mae_pretrain"].items() if k.startswith("MAE_encoder.")}
    imported = import_checkpoint(state)
    assert imported.modules.keys() == {"backbone"}
    assert imported.report.missing.keys() == {"all of decoder", "all of to_points"}
    assert export_checkpoint(imported).weights.keys() == state.keys()


def test_what_fits_no_layout_or_several_is_named(states: dict[str, dict[str, Tensor]]) -> None:
    with pytest.raises(DataError, match=r"Point-M2AE, which is not read"):
        import_checkpoint({"h_encoder.token_embed.0.weight": torch.ones(2)})
    both = {**states["point_mae_classifier"], **states["act_autoencoder"]}
    with pytest.raises(DataError, match="fit point_mae_classifier and act_autoencoder"):
        import_checkpoint(both)


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


def test_torchs_generator_is_left_as_it_was(states: dict[str, dict[str, Tensor]]) -> None:
    before = torch.get_rng_state()
    import_checkpoint(states["point_mae_pretrain"])
    assert torch.equal(torch.get_rng_state(), before)
