"""ACT's autoencoder: its parts in their order, and as large as the paper's."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from paradigms.providers import SMALL, noise, small_foreign
from pointlab.backbones import build_backbone
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.objectives.autoencoder import Autoencoder, AutoencoderConfig
from pointlab.objectives.graphs import nearest_centres
from pointlab.objectives.prompting import ForeignTransformer


def test_latents_are_codes_after_the_foreign_transformer_and_the_second_graph() -> None:
    torch.manual_seed(0)
    foreign, patches = small_foreign(), noise()
    autoencoder = Autoencoder(SMALL, 24, 4, foreign).eval()
    tokens, neighbours = torch.randn(4, 8, 24), nearest_centres(patches.centres)
    logits = autoencoder.logits(tokens, patches.centres)
    assert torch.equal(autoencoder.logits(tokens, patches.centres, neighbours), logits)
    assert logits.shape == (4, 8, 16)
    assert logits.min() < 0 < logits.max()
    coded = autoencoder.codebook.entries[logits.argmax(2)]
    lent = autoencoder.prompting(coded, patches.centres, foreign)
    expected = autoencoder.second_graph(lent, neighbours)
    given = (logits, patches.centres, foreign, "likeliest")
    assert torch.equal(autoencoder.latents(*given), expected)
    assert torch.equal(autoencoder.latents(*given, neighbours=neighbours), expected)


def test_gradients_pass_soft_codes_to_everything_in_front_of_them() -> None:
    torch.manual_seed(0)
    foreign, patches = small_foreign().requires_grad_(False), noise()
    autoencoder, tokens = Autoencoder(SMALL, 24, 4, foreign), torch.randn(4, 8, 24, requires_grad=True)
    logits = autoencoder.logits(tokens, patches.centres)
    coarse, fine = autoencoder.decoder(autoencoder.latents(logits, patches.centres, foreign, "soft"))
    (coarse.square().sum() + fine.square().sum()).backward()
    assert tokens.grad is not None
    assert tokens.grad.any()
    assert [n for n, p in autoencoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_stage_one_has_as_many_parameters_as_the_papers() -> None:
    """116.2M with a ViT-B, of which 31.1M are trained."""
    with torch.device("meta"):
        blocks = nn.ModuleList(nn.TransformerEncoderLayer(768, 12, 3072) for _ in range(12))
        foreign = ForeignTransformer(blocks, nn.LayerNorm(768), 768)
        trained = (build_backbone(PatchEmbeddingConfig()), Autoencoder(AutoencoderConfig(), 384, 32, foreign))
    num_trained = sum(p.numel() for module in trained for p in module.parameters())
    num_frozen = sum(p.numel() for p in foreign.parameters())
    assert round(num_trained / 1e6, 1) == 31.1
    assert round((num_trained + num_frozen) / 1e6, 1) == 116.2


def test_codes_start_as_standard_normals() -> None:
    entries = Autoencoder(
        SMALL.model_copy(update={"num_codes": 400}), 24, 4, small_foreign()
    ).codebook.entries
    assert entries.shape == (400, 24)
    assert 0.95 < entries.std().item() < 1.05


@pytest.mark.parametrize("settings", [{"num_codes": 18}, {"graph_widths": [8, 8, 10, 8, 8]}])
def test_channels_that_normalisation_cannot_share_out_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="choose a multiple of 4"):
        AutoencoderConfig.model_validate(settings)
    AutoencoderConfig.model_validate({"graph_widths": [7, 8, 8, 8, 8]})  # the first is not normalised
