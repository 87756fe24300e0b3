"""Point mixing replaces as many points as the labels say, keeps lengths, and mixes every array alike."""

import pytest
import torch

from pointlab.data.sample import PointBatch
from pointlab.objectives import MixingConfig, Mixture, mix_points

COUNTS = (12, 7, 12, 3)
KINDS = ("random", "nearest")


def config_of(kind: str, probability: float = 1.0) -> MixingConfig:
    return MixingConfig(kind=kind, probability=probability)  # type: ignore[arg-type]


def marked_batch() -> PointBatch:
    """Four clouds whose every array tells, at every point, which cloud and which row it comes from."""
    torch.manual_seed(3)
    is_real = torch.arange(max(COUNTS)) < torch.tensor(COUNTS)[:, None]
    points = torch.randn(4, max(COUNTS), 3) * is_real[..., None]
    rows = (100 * torch.arange(4)[:, None] + torch.arange(max(COUNTS))).masked_fill(~is_real, -1)
    return PointBatch(
        points, torch.tensor(COUNTS), torch.arange(4), torch.tensor([0, 1, 2, 3]), 2 * points, 3 * points,
        rows + 1000 * is_real, rows,
    )  # fmt: skip


def mixed(kind: str, seed: int) -> tuple[PointBatch, Mixture]:
    batch = marked_batch()
    torch.manual_seed(seed)
    return batch, mix_points(batch, config_of(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_its_own_or_the_partners_and_the_shares_are_the_true_ones(
    kind: str, seed: int
) -> None:
    batch, mixture = mixed(kind, seed)
    assert torch.equal(mixture.batch.counts, batch.counts)
    assert mixture.batch.rows is not None
    for cloud, (count, partner) in enumerate(zip(COUNTS, mixture.partners.tolist(), strict=True)):
        rows = mixture.batch.rows[cloud]
        assert (rows[count:] == -1).all()
        assert (rows[:count] >= 0).all()
        is_own = rows[:count] // 100 == cloud
        assert ((rows[:count] // 100)[~is_own] == partner).all()
        assert len(set(rows[:count].tolist())) == count, "a point came in twice"
        assert mixture.shares[cloud] == pytest.approx(float(is_own.float().mean()))


@pytest.mark.parametrize("kind", KINDS)
def test_all_arrays_of_a_point_move_together(kind: str) -> None:
    batch, mixture = mixed(kind, seed=1)
    found = mixture.batch
    assert found.rows is not None
    assert found.point_labels is not None
    rows = found.rows.clamp_min(0)
    source = batch.points[rows // 100, rows % 100] * (found.rows >= 0)[..., None]
    assert not torch.equal(found.points, batch.points)
    torch.testing.assert_close(found.points, source)
    torch.testing.assert_close(found.normals, 2 * source)
    torch.testing.assert_close(found.colours, 3 * source)
    assert torch.equal(found.point_labels, found.rows + 1000 * (found.rows >= 0))


def test_nearest_exchanges_the_surroundings_of_one_point() -> None:
    """On a line, what goes is one run of neighbours, and what comes in is nearest to the same place."""
    line = torch.zeros(2, 64, 3)
    line[:, :, 0] = torch.arange(64)
    line[1, :, 1] = 0.25
    batch = PointBatch(line, torch.tensor([64, 64]), torch.arange(2), torch.tensor([0, 1]))
    for seed in range(20):
        torch.manual_seed(seed)
        mixture = mix_points(batch, config_of("nearest"))
        is_own = mixture.batch.points[0, :, 1] == 0
        if 0 < int(is_own.sum()) < 64:
            gone = (~is_own).nonzero()[:, 0]
            assert int(gone[-1] - gone[0]) == len(gone) - 1
            assert sorted(mixture.batch.points[0, gone, 0].tolist()) == gone.tolist()
            return
    pytest.fail("no cloud was mixed in twenty draws")


def test_shares_follow_the_beta_distribution_and_clouds_stay_as_they_are_otherwise() -> None:
    torch.manual_seed(0)
    points = torch.randn(400, 100, 3)
    batch = PointBatch(points, torch.full((400,), 100), torch.arange(400), torch.zeros(400).long())
    shares = mix_points(batch, MixingConfig(kind="random", alpha=2.0, probability=0.5)).shares
    touched = shares[shares < 1]
    assert 160 < len(touched) < 240
    assert float(touched.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(touched.var()) == pytest.approx(0.05, abs=0.015)  # 1 / (4 (2 · 2 + 1))


def test_a_cloud_alone_has_no_partner_and_stays_as_it_is() -> None:
    batch = PointBatch(torch.randn(1, 9, 3), torch.tensor([9]), torch.arange(1), torch.tensor([2]))
    mixture = mix_points(batch, config_of("random"))
    assert torch.equal(mixture.batch.points, batch.points)
    assert mixture.shares.tolist() == [1]
