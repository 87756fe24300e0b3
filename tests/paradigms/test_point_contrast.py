"""Contrast of points: matched by stored row, drawn without replacement, harmless where nothing matches."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from paradigms.two_views import SmallEncoder, two_views
from pointlab.data.sample import PointBatch
from pointlab.paradigms import Given, PointContrastConfig, build_paradigm
from pointlab.paradigms.base import Paradigm
from pointlab.paradigms.point_contrast import drawn, matched_points

SHOWN = 25
"""Points of 40 in each view, so that about 16 are in both."""


def point_contrast(pairs_per_cloud: int = 128) -> Paradigm:
    torch.manual_seed(0)
    config = PointContrastConfig(pairs_per_cloud=pairs_per_cloud, width=4)
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


def without_matches(batch: PointBatch, first_cloud: int = 0) -> PointBatch:
    """The clouds from `first_cloud` on show other stored points in their second view."""
    _, second = rows_of(batch)
    apart = torch.where(second >= 0, second + 40, second)
    apart[:first_cloud] = second[:first_cloud]
    return replace(batch, views=(replace(batch.views[0], rows=apart),))


@pytest.mark.parametrize("num_shown", [40, SHOWN, 1])
def test_matched_points_are_those_of_equal_stored_row_in_one_cloud(num_shown: int) -> None:
    rows = rows_of(two_views(num_clouds=3, num_shown=num_shown))
    first, second = matched_points(*rows)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == naive_pairs(*rows)
    assert num_shown == 1 or len(first) > 30


def test_the_loss_is_the_mean_of_point_info_nce_over_clouds_and_their_pairs() -> None:
    """Clouds have different numbers of pairs, and the last one has none."""
    paradigm, batch = point_contrast(), without_matches(two_views(num_shown=SHOWN), first_cloud=3)
    output, pairs = paradigm(batch), naive_pairs(*rows_of(batch))
    queries, keys = (
        paradigm.projector(paradigm.backbone.point_features(view).values).flatten(0, 1)[
            [pair[side] for pair in pairs]
        ]
        for side, view in enumerate((batch, batch.views[0]))
    )
    queries, keys = (rows / rows.norm(dim=1, keepdim=True) for rows in (queries, keys))
    losses = -(queries @ keys.T / 0.07).detach().log_softmax(1).diagonal()
    clouds = torch.tensor([first // 40 for first, _ in pairs])
    expected = sum(float(losses[clouds == cloud].mean()) for cloud in range(3)) / 4
    assert output.loss.item() == pytest.approx(expected, rel=1e-12)
    assert output.metrics["num_pairs"].item() == pytest.approx(len(pairs) / 4)
    assert output.metrics["unmatched"].item() == 0.25
    assert output.metrics["loss"].item() == pytest.approx(expected / 0.75)  # of those that have any
    assert len(set(torch.bincount(clouds).tolist())) > 1


def test_pairs_are_drawn_within_clouds_without_replacement_by_torch_s_generator() -> None:
    """Fifty pairs of one cloud, seven of the next but one."""
    places = torch.cat([torch.arange(50), 200 + torch.arange(7)])

    def draw(seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed)
        return drawn((places, places + 1000), num_points=100, per_cloud=20)

    first, second = draw(3)
    assert torch.equal(second, first + 1000)
    assert torch.equal(first, first.unique())
    assert [int((first < 100).sum()), int((first >= 200).sum())] == [20, 7]
    assert torch.equal(first, draw(3)[0])
    assert not torch.equal(first, draw(4)[0])
    assert point_contrast(pairs_per_cloud=7)(two_views()).metrics["num_pairs"].item() == 7


def test_without_any_pair_the_loss_is_a_zero_that_involves_every_parameter() -> None:
    paradigm = point_contrast()
    output = paradigm(without_matches(two_views(num_shown=SHOWN)))
    output.loss.backward()
    assert {name: float(figure) for name, figure in output.metrics.items()} == {
        "loss": 0,
        "top_1": 0,
        "num_pairs": 0,
        "unmatched": 1,
    }
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
