"""Contrast of points: matched by stored row, drawn without replacement, harmless where nothing matches."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from paradigms.two_views import SmallEncoder, two_views
from pointlab.data.sample import PointBatch
from pointlab.objectives.info_nce import paired_info_nce
from pointlab.paradigms import Given, PointContrastConfig, build_paradigm
from pointlab.paradigms.base import Paradigm
from pointlab.paradigms.point_contrast import drawn, matched_points

SHOWN = 25
"""Points of 40 in each view, so that about 16 are in both."""


def point_contrast(num_pairs: int = 4096) -> Paradigm:
    torch.manual_seed(0)
    config = PointContrastConfig(num_pairs=num_pairs, width=4)
    return build_paradigm(config, SmallEncoder(batch_norm=True), Given(num_classes=3)).double()


def naive_pairs(first: Tensor, second: Tensor) -> list[tuple[int, int]]:
    """Places, counted through the batch, of equal rows of one cloud."""
    num_points = first.shape[1]
    return [
        (cloud * num_points + one, cloud * num_points + other)
        for cloud in range(len(first))
        for one in range(num_points)
        for other in range(num_points)
        if first[cloud, one] >= 0 and first[cloud, one] == second[cloud, other]
    ]


def rows_of(batch: PointBatch) -> tuple[Tensor, Tensor]:
    assert batch.rows is not None
    assert batch.views[0].rows is not None
    return batch.rows, batch.views[0].rows


def without_matches(batch: PointBatch) -> PointBatch:
    _, second = rows_of(batch)
    apart = torch.where(second >= 0, second + 40, second)
    return replace(batch, views=(replace(batch.views[0], rows=apart),))


@pytest.mark.parametrize("num_shown", [40, SHOWN, 1])
def test_matched_points_are_those_of_equal_stored_row_in_one_cloud(num_shown: int) -> None:
    rows = rows_of(two_views(num_clouds=3, num_shown=num_shown))
    first, second = matched_points(*rows)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == naive_pairs(*rows)
    assert num_shown == 1 or len(first) > 30


def test_the_loss_is_point_info_nce_over_all_pairs_where_they_are_few() -> None:
    paradigm, batch = point_contrast(), two_views(num_shown=SHOWN)
    output, pairs = paradigm(batch), naive_pairs(*rows_of(batch))
    queries, keys = (
        paradigm.projector(paradigm.backbone.point_features(view)).flatten(0, 1)[
            [pair[side] for pair in pairs]
        ]
        for side, view in enumerate((batch, batch.views[0]))
    )
    queries, keys = (rows / rows.norm(dim=1, keepdim=True) for rows in (queries, keys))
    expected = paired_info_nce(queries, keys, 0.07)
    assert output.loss.item() == pytest.approx(expected.loss.item(), rel=1e-12)
    assert output.metrics["num_pairs"].item() == len(pairs) > 30


def test_pairs_are_drawn_without_replacement_by_torch_s_generator() -> None:
    all_pairs = torch.arange(50), torch.arange(50) + 100
    torch.manual_seed(3)
    first, second = drawn(all_pairs, 20)
    torch.manual_seed(3)
    again, _ = drawn(all_pairs, 20)
    other, _ = drawn(all_pairs, 20)
    assert len(first.unique()) == 20
    assert torch.equal(second, first + 100)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert point_contrast(num_pairs=7)(two_views()).metrics["num_pairs"].item() == 7


def test_without_any_pair_the_loss_is_a_zero_that_involves_every_parameter() -> None:
    paradigm = point_contrast()
    output = paradigm(without_matches(two_views(num_shown=SHOWN)))
    output.loss.backward()
    assert {name: float(figure) for name, figure in output.metrics.items()} == dict.fromkeys(
        ("loss", "top_1", "num_pairs"), 0
    )
    for parameter in paradigm.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_training_makes_matched_points_known_among_others() -> None:
    paradigm, batch = point_contrast(), two_views(num_clouds=2, num_shown=SHOWN)
    optimiser = torch.optim.AdamW(paradigm.parameters(), lr=0.02)
    found = []
    for _ in range(30):
        optimiser.zero_grad()
        output = paradigm(batch)
        output.loss.backward()
        optimiser.step()
        found.append(output.metrics["top_1"].item())
    assert found[-1] > found[0] + 0.2
