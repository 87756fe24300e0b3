"""Segmentation: losses over real, labelled points alone; figures of a whole split; frozen means frozen."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from backbones.tiny import TINY
from pointlab.backbones import build_backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.objectives.confusion import ClassCounts
from pointlab.objectives.lovasz import lovasz_softmax
from pointlab.paradigms import Given, SegmentationConfig
from pointlab.paradigms.segmentation import Segmentation
from pointlab.training.averages import Averages
from pointlab.training.checkpoint import own_state

GIVEN = Given(0, num_point_classes=4)


def batch_of(counts: tuple[int, ...] = (24, 18), seed: int = 0) -> PointBatch:
    """Clouds with labels 0 to 3 and some -1; 3 occurs in the first cloud alone."""
    torch.manual_seed(seed)
    points, labels = torch.zeros(len(counts), max(counts), 3), torch.full((len(counts), max(counts)), -1)
    for cloud, count in enumerate(counts):
        points[cloud, :count] = torch.randn(count, 3)
        labels[cloud, :count] = torch.randint(-1, 3 if cloud else 4, (count,))
    return PointBatch(points, torch.tensor(counts), torch.arange(len(counts)), point_labels=labels)


def segmentation(*, is_probe: bool = False, **settings: object) -> Segmentation:
    torch.manual_seed(0)
    config = SegmentationConfig.model_validate(settings)
    return Segmentation(config, build_backbone(TINY["pointnet2-decoder"]), GIVEN, is_probe=is_probe)


def test_the_loss_is_cross_entropy_and_lovasz_of_the_labelled_points() -> None:
    paradigm, batch = segmentation(lovasz_weight=0.5).eval(), batch_of()
    features = paradigm.backbone.point_features(batch).values
    is_labelled = batch.point_labels >= 0
    logits, labels = paradigm.head(features[is_labelled]), batch.point_labels[is_labelled]
    expected = nn.functional.cross_entropy(logits, labels) + 0.5 * lovasz_softmax(logits, labels)
    torch.testing.assert_close(paradigm(batch).loss, expected)


def test_what_lies_in_padding_does_not_count() -> None:
    paradigm, batch = segmentation(head="mlp", dropout=0.0), batch_of()
    wider = replace(
        batch,
        points=nn.functional.pad(batch.points, (0, 0, 0, 5)),
        point_labels=nn.functional.pad(batch.point_labels, (0, 5), value=-1),
    )
    torch.testing.assert_close(paradigm(wider).loss, paradigm(batch).loss)


def test_a_batch_without_labels_has_no_loss_and_gradients_of_zero_for_everything() -> None:
    paradigm, batch = segmentation(label_smoothing=0.1), batch_of()
    output = paradigm(replace(batch, point_labels=torch.full_like(batch.point_labels, -1)))
    output.loss.backward()
    assert float(output.loss.detach()) == 0
    assert all(bool((p.grad == 0).all()) for p in paradigm.head.parameters() if p.grad is not None)
    assert paradigm.head[0].weight.grad is not None


def test_validation_is_of_the_whole_split_and_no_mean_of_batches() -> None:
    paradigm = segmentation().eval()
    batches = [batch_of((24, 18)), batch_of((20,), seed=1), batch_of((30, 22, 18), seed=2)]
    averages, by_batch, truth, named = Averages(), [], [], []
    for batch in batches:
        output = paradigm(batch)
        averages.add({"loss": output.loss, **output.metrics}, len(batch))
        is_real = batch.point_labels >= 0
        logits = paradigm.head(paradigm.backbone.point_features(batch).values[is_real])
        truth.append(batch.point_labels[is_real])
        named.append(logits.argmax(1))
        by_batch.append(ClassCounts.of(logits, truth[-1]).figures()["miou"])
    figures = paradigm.summarise(averages.take())
    truth_of_all, named_of_all = torch.cat(truth), torch.cat(named)
    ious = []
    for label in truth_of_all.unique():
        inside = (truth_of_all == label) & (named_of_all == label)
        ious.append(float(inside.sum() / ((truth_of_all == label) | (named_of_all == label)).sum()))
    assert figures["miou"] == pytest.approx(sum(ious) / len(ious))
    assert figures["miou"] != pytest.approx(sum(by_batch) / len(by_batch), abs=1e-3)
    assert figures["accuracy"] == pytest.approx(float((truth_of_all == named_of_all).double().mean()))
    assert set(figures) == {"loss", "cross_entropy", "lovasz", "miou", "mean_class_accuracy", "accuracy"}
    assert paradigm.score(figures) == figures["miou"]


def test_a_class_with_fewer_points_than_there_are_clouds_counts_like_any_other() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    perfect = dict(ClassCounts.of(nn.functional.one_hot(labels, 4).float(), labels).entries(10))
    figures = segmentation().summarise({name: float(count) for name, count in perfect.items()})
    assert figures["miou"] == 1


def test_a_probe_changes_no_byte_of_the_backbone_and_its_statistics_and_learns_in_the_head() -> None:
    paradigm, batch = segmentation(is_probe=True), batch_of()
    paradigm.freeze()
    before = {name: tensor.clone() for name, tensor in paradigm.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in paradigm.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        paradigm.train()
        optimiser.zero_grad()
        paradigm(batch).loss.backward()
        optimiser.step()
    changed = {name for name, old in before.items() if not torch.equal(old, paradigm.state_dict()[name])}
    assert changed == {"head.0.weight", "head.0.bias"}
    assert set(own_state(paradigm)) == changed
    assert not paradigm.backbone.training


def test_full_training_moves_the_statistics_too() -> None:
    paradigm, batch = segmentation(), batch_of()
    before = {name: tensor.clone() for name, tensor in paradigm.backbone.named_buffers()}
    paradigm.train()(batch).loss.backward()
    assert any(
        not torch.equal(old, dict(paradigm.backbone.named_buffers())[name]) for name, old in before.items()
    )
    assert all(p.grad is not None for p in paradigm.head_parameters())


def test_a_set_without_classes_of_points_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no classes of points"):
        Segmentation(SegmentationConfig(), build_backbone(TINY["pointnet2-decoder"]), Given(3))
