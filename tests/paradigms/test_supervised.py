"""Supervised training: mixed clouds have mixed labels, and validation mixes nothing."""

import pytest
import torch

from pointlab.backbones import Backbone, build_backbone
from pointlab.backbones.pointnet import PointNetConfig
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig, MixingConfig, mix_points
from pointlab.paradigms import Given, SupervisedConfig
from pointlab.paradigms.supervised import Supervised

MIXING = MixingConfig(kind="random", probability=1.0)


def tiny_backbone() -> Backbone:
    torch.manual_seed(0)
    return build_backbone(PointNetConfig(widths=(4, 4, 4, 4, 6), transforms=False))


def batch_of(num_clouds: int = 6, num_points: int = 16) -> PointBatch:
    torch.manual_seed(1)
    points, counts = torch.randn(num_clouds, num_points, 3), torch.full((num_clouds,), num_points)
    return PointBatch(points, counts, torch.arange(num_clouds), torch.arange(num_clouds) % 3)


def supervised(mixing: MixingConfig) -> Supervised:
    config = SupervisedConfig(head=HeadConfig(kind="linear"), label_smoothing=0.1, mixing=mixing)
    return Supervised(config, tiny_backbone(), Given(3))


def test_the_loss_of_mixed_clouds_weighs_both_labels_by_their_share_of_points() -> None:
    paradigm, batch = supervised(MIXING), batch_of()
    assert batch.labels is not None
    torch.manual_seed(5)
    output = paradigm(batch)
    torch.manual_seed(5)
    mixture = mix_points(batch, MIXING)
    logits = paradigm.head(paradigm.backbone(mixture.batch).pooled)
    expected, right = torch.zeros(()), 0.0
    for cloud, share in enumerate(mixture.shares.tolist()):
        for label, weight in (
            (batch.labels[cloud], share),
            (batch.labels[mixture.partners[cloud]], 1 - share),
        ):
            smooth = torch.full((3,), 0.1 / 3)
            smooth[label] += 0.9
            expected = expected - weight * (smooth * logits[cloud].log_softmax(0)).sum() / len(batch)
            right += weight * float(logits[cloud].argmax() == label) / len(batch)
    assert 0 < float(mixture.shares.min()) < 1
    torch.testing.assert_close(output.loss, expected)
    assert float(output.metrics["accuracy"]) == pytest.approx(right)


def test_validation_mixes_nothing_and_without_mixing_nothing_is_drawn() -> None:
    mixing, plain, batch = supervised(MIXING), supervised(MixingConfig()), batch_of()
    plain.load_state_dict(mixing.state_dict())
    assert torch.equal(mixing.eval()(batch).loss, plain.eval()(batch).loss)
    before = torch.get_rng_state()
    plain.train()(batch)
    assert torch.equal(torch.get_rng_state(), before)
