"""The masked decoder equals the papers' with its concatenation written out."""

import pytest
import torch
from torch import nn

from pointlab.errors import ConfigError
from pointlab.objectives.decoders import DecoderConfig, MaskedDecoder


def small(**changes: int) -> MaskedDecoder:
    torch.manual_seed(0)
    return MaskedDecoder(DecoderConfig(num_heads=2, **changes), width=16)


def test_visible_tokens_come_first_places_before_every_block_and_the_norm_on_what_is_hidden() -> None:
    decoder = small(depth=3).eval()
    latent, seen, unseen = torch.randn(2, 3, 16), torch.randn(2, 3, 3), torch.randn(2, 5, 3)
    first, _, second = decoder.positional
    clouds = []
    for cloud in range(2):
        rows = torch.stack([*latent[cloud], *[decoder.mask_token[0, 0]] * 5])
        places = torch.stack([second(nn.functional.gelu(first(c))) for c in (*seen[cloud], *unseen[cloud])])
        for block in decoder.blocks:
            rows = block((rows + places).unsqueeze(0)).squeeze(0)
        clouds.append(torch.stack([decoder.norm(rows[row]) for row in range(3, 8)]))
    found = decoder(latent, seen, unseen)
    torch.testing.assert_close(found, torch.stack(clouds), atol=1e-5, rtol=1e-4)


def test_gradients_reach_all_of_the_decoder_and_its_input() -> None:
    decoder, latent = small().eval(), torch.randn(2, 3, 16, requires_grad=True)
    decoder(latent, torch.randn(2, 3, 3), torch.randn(2, 5, 3)).square().mean().backward()
    assert latent.grad is not None
    assert [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_blocks_start_evenly_and_places_apart_from_each_other() -> None:
    decoder = MaskedDecoder(DecoderConfig(depth=1), width=96)
    qkv, hidden = decoder.blocks[0].attention.qkv.weight, decoder.blocks[0].mlp[0].weight
    for weight in (qkv, hidden):  # uniform within ±√(6 / (inputs + outputs))
        bound = (6 / sum(weight.shape)) ** 0.5
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert 0.01 < decoder.mask_token.std().item() < 0.03
    linear = [module for module in decoder.blocks.modules() if isinstance(module, nn.Linear)]
    assert not any(module.bias.any() for module in linear if module.bias is not None)
    centres = torch.randn(64, 3)
    assert decoder.positional(centres).std(0).mean() > decoder.mask_token.std()


def test_drop_path_rises_within_the_decoder() -> None:
    rates = [block.drop_path.rate for block in small(depth=4).blocks]
    assert rates == pytest.approx([0, 0.1 / 3, 0.2 / 3, 0.1])


def test_a_width_that_heads_cannot_share_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"num_heads is 6, and backbone.width is 16"):
        MaskedDecoder(DecoderConfig(), width=16)
