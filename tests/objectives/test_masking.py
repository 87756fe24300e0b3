"""Masks: how many patches are hidden, which, and by whose draws."""

import pytest
import torch
from torch import Tensor

from pointlab.errors import ConfigError
from pointlab.objectives.masking import Mask, MaskConfig, draw_mask

KINDS = pytest.mark.parametrize("kind", ["random", "block"])


def drawn(
    kind: str = "random", ratio: float = 0.6, num_groups: int = 64, batch: int = 5
) -> tuple[Tensor, Mask]:
    """Centres that are always the same, and a mask of them by torch's own generator."""
    centres = torch.randn(batch, num_groups, 3, generator=torch.Generator().manual_seed(1))
    return centres, draw_mask(centres, MaskConfig.model_validate({"kind": kind, "ratio": ratio}))


@KINDS
@pytest.mark.parametrize(
    ("ratio", "num_groups", "num_hidden"), [(0.6, 64, 38), (0.8, 64, 51), (0.6, 128, 76), (0.5, 2, 1)]
)
def test_visible_and_hidden_part_the_patches_in_rising_order(
    kind: str, ratio: float, num_groups: int, num_hidden: int
) -> None:
    _, mask = drawn(kind, ratio, num_groups)
    assert mask.hidden.shape == (5, num_hidden)
    assert mask.visible.shape == (5, num_groups - num_hidden)
    for visible, hidden in zip(mask.visible.tolist(), mask.hidden.tolist(), strict=True):
        assert sorted(visible + hidden) == list(range(num_groups))
        assert (visible, hidden) == (sorted(visible), sorted(hidden))


def test_a_block_is_a_patch_and_its_nearest() -> None:
    centres, mask = drawn("block", num_groups=16)
    for cloud, hidden in zip(centres, mask.hidden.tolist(), strict=True):
        balls = [
            sorted(torch.linalg.vector_norm(cloud - centre, dim=1).argsort()[:9].tolist()) for centre in cloud
        ]
        assert hidden in balls


@KINDS
def test_masks_follow_torchs_own_generator(kind: str) -> None:
    def hidden(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        rows: list[list[int]] = drawn(kind)[1].hidden.tolist()
        return rows

    assert hidden(0) == hidden(0) != hidden(1)


@KINDS
def test_clouds_hide_patches_of_their_own(kind: str) -> None:
    torch.manual_seed(0)
    mask = draw_mask(torch.randn(1, 64, 3).expand(8, -1, -1), MaskConfig.model_validate({"kind": kind}))
    assert len({tuple(rows) for rows in mask.hidden.tolist()}) > 4


def test_every_patch_is_hidden_equally_often() -> None:
    torch.manual_seed(0)
    _, mask = drawn(ratio=0.5, num_groups=8, batch=4000)
    shares = torch.bincount(mask.hidden.flatten(), minlength=8) / 4000
    assert (shares - 0.5).abs().max() < 0.04  # five standard errors


@pytest.mark.parametrize("ratio", [0.1, 0.05])
def test_a_ratio_that_hides_nothing_is_refused_with_the_numbers(ratio: float) -> None:
    with pytest.raises(ConfigError, match=rf"ratio is {ratio}, which hides 0 of 8 patches"):
        drawn(ratio=ratio, num_groups=8)
