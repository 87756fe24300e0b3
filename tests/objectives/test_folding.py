"""The folding decoder equals the papers' with its concatenation written out, row by row."""

import pytest
import torch
from torch import Tensor

from pointlab.errors import ConfigError
from pointlab.objectives.folding import FoldingDecoder

GRID = [(-0.05, -0.05), (0.05, -0.05), (-0.05, 0.05), (0.05, 0.05)]


def naive(decoder: FoldingDecoder, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """[token, grid, coarse point] for every fine point through the two normalised layers."""
    coarse = decoder.coarse(tokens).reshape(*tokens.shape[:2], -1, 3)
    rows, roots = [], []
    for token, points in zip(tokens.flatten(0, 1), coarse.flatten(0, 1), strict=True):
        for point in points:
            rows += [torch.cat([token, token.new_tensor(cell), point]) for cell in GRID]
            roots += [point] * 4
    hidden = decoder.join_norm(decoder.join(torch.stack(rows))).relu()
    hidden = decoder.fold_norm(decoder.fold(hidden)).relu()
    fine = decoder.offset(hidden) + torch.stack(roots)
    return coarse, fine.reshape(*tokens.shape[:2], -1, 3)


@pytest.mark.parametrize("is_training", [True, False])
def test_folding_equals_the_papers_with_its_concatenation(is_training: bool) -> None:
    torch.manual_seed(0)
    decoder = FoldingDecoder(6, 12, coarse_width=10, fine_width=8).double().train(is_training)
    tokens = torch.randn(2, 3, 6, dtype=torch.float64)
    coarse, fine = decoder(tokens)
    assert coarse.shape == (2, 3, 3, 3)
    assert fine.shape == (2, 3, 12, 3)
    torch.testing.assert_close((coarse, fine), naive(decoder, tokens), atol=1e-7, rtol=1e-6)  # a float32 grid


def test_a_patch_that_grids_cannot_fill_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"group_size is 6\..*a multiple of 4"):
        FoldingDecoder(6, 6)
