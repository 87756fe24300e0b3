"""Geometric pretraining: what its losses are, on which stages, and that normals follow the augmentation."""

import math
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from conftest import tiny_pretrain
from pointlab.backbones import Backbone, Features
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig, augment
from pointlab.data.batches import to_batch
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError
from pointlab.experiment.classifier import head_of
from pointlab.launch import run
from pointlab.objectives import HeadConfig
from pointlab.paradigms import GeometricConfig, Given
from pointlab.paradigms.geometric import Geometric, chosen_stages
from pointlab.seeding import KeyedDraws
from pointlab.storage import Storage, read_manifest


class Planes(Backbone):
    """Every token is the normal of the plane through its cloud; `patches` are the first four points."""

    stages, widths, num_features, min_points = ("points", "patches", "coarse", "cloud"), (3,) * 4, 3, 4
    global_stages, point_stages = ("cloud",), ("points",)

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        planes = []
        for points, count in zip(batch.points, batch.counts.tolist(), strict=True):
            real = points[:count]
            planes.append(torch.linalg.svd(real - real.mean(0))[2][2])
        pooled = torch.stack(planes)
        num_tokens = {"points": batch.points.shape[1], "patches": 4, "coarse": 2, "cloud": 1}
        return {
            stage: Features(
                pooled.unsqueeze(1).expand(-1, num_tokens[stage], -1),
                batch.points if stage == "points" else batch.points[:, : num_tokens[stage]] + 1e-4,
                pooled,
            )
            for stage in stages
        }

    def stage_of(self, parameter: str) -> str:
        return "points"


def geometric(head_weight: torch.Tensor | None = None, **changes: Any) -> Geometric:
    """A paradigm around `Planes`; its normal heads multiply by `head_weight`, the identity by default."""
    torch.manual_seed(0)
    config = validate(GeometricConfig, {"head": {"kind": "linear"}, "stages": "all", **changes}, "test")
    paradigm = Geometric(config, Planes(), Given(2))
    for head in paradigm.normal_heads.values():
        assert isinstance(head, nn.Linear)
        head.weight.data.copy_(torch.eye(3) if head_weight is None else head_weight)
        head.bias.data.zero_()
    return paradigm


def plane_batch(counts: tuple[int, ...] = (32, 32)) -> PointBatch:
    """Points of one tilted plane with its normals, turned and stretched cloud by cloud; then padded."""
    points = np.random.default_rng(0).normal(size=(len(counts), 32, 3)).astype(np.float32)
    points[..., 1] = 0.5 * points[..., 0] - 0.25 * points[..., 2]
    normal = np.array([-0.5, 1, 0.25]) / np.linalg.norm([-0.5, 1, 0.25])
    arrays = {"points": points, "normals": np.broadcast_to(normal, points.shape).astype(np.float32)}
    draws = KeyedDraws.of("test", 1, np.arange(len(counts)))
    arrays = augment(arrays, AugmentationConfig(rotation="full"), draws)
    for cloud, count in enumerate(counts):
        for values in arrays.values():
            values[cloud, count:] = 0
    numbers = np.arange(len(counts))
    return to_batch({**arrays, "counts": np.array(counts), "ids": numbers, "labels": numbers % 2})


@pytest.mark.parametrize("counts", [(32, 32), (32, 9)])
def test_true_normals_of_turned_and_padded_clouds_have_no_loss(counts: tuple[int, ...]) -> None:
    metrics = geometric()(plane_batch(counts)).metrics
    assert float(metrics["normal_loss"]) == pytest.approx(0, abs=1e-5)
    for stage in ("points", "patches", "coarse"):
        assert float(metrics[f"normal_error_{stage}"]) < 0.2


@pytest.mark.parametrize(
    ("orientation", "angle", "loss", "error"),
    [("free", 60, 0.5, 60), ("free", 120, 0.5, 60), ("oriented", 60, 0.5, 60), ("oriented", 120, 1.5, 120)],
)
def test_the_losses_are_their_closed_forms(orientation: str, angle: float, loss: float, error: float) -> None:
    batch = plane_batch((32, 9))
    assert batch.normals is not None
    assert batch.labels is not None
    batch.normals[(batch.normals != 0).any(2)] = torch.tensor([0.0, 1.0, 0.0])
    paradigm = geometric(torch.zeros(3, 3), orientation=orientation, normal_weight=0.3)
    radians = math.radians(angle)
    for head in paradigm.normal_heads.values():
        head.bias.data.copy_(7 * torch.tensor([math.sin(radians), math.cos(radians), 0]))
    output = paradigm(batch)
    logits = paradigm.head(paradigm.backbone(batch).pooled)
    classes = nn.functional.cross_entropy(logits, batch.labels)
    assert float(output.metrics["normal_loss"]) == pytest.approx(loss, abs=1e-5)
    assert float(output.metrics["normal_error_patches"]) == pytest.approx(error, abs=1e-3)
    torch.testing.assert_close(output.loss, classes + 0.3 * output.loss.new_tensor(loss))


def test_a_token_has_the_normal_of_the_nearest_real_point_and_unknown_normals_do_not_count() -> None:
    batch = plane_batch((32, 6))
    assert batch.normals is not None
    drawn = nn.functional.normalize(torch.randn(batch.points.shape), dim=2)
    drawn[1, 6:], drawn[0, 0] = 0, 0  # padding, and a normal that nobody knows
    batch = PointBatch(batch.points, batch.counts, batch.ids, batch.labels, drawn)
    paradigm = geometric(stages=["patches", "points"])
    predicted = paradigm.backbone(batch).pooled
    expected = {}
    for stage, num_tokens in (("patches", (4, 4)), ("points", (32, 6))):
        misses = []
        for cloud, size in enumerate(num_tokens):
            cosines = [abs(float(predicted[cloud] @ normal)) for normal in drawn[cloud, :size]]
            known = cosines[1:] if cloud == 0 else cosines
            misses.append(1 - sum(known) / len(known))
        expected[stage] = sum(misses) / 2
    assert float(paradigm(batch).metrics["normal_loss"]) == pytest.approx(
        sum(expected.values()) / len(expected), abs=1e-5
    )


def test_stages_are_chosen_by_name_or_by_depth_among_those_with_places() -> None:
    backbone = Planes()
    assert chosen_stages("first", backbone) == ("points",)
    assert chosen_stages("first_half", backbone) == ("points", "patches")
    assert chosen_stages("all", backbone) == ("points", "patches", "coarse")
    assert chosen_stages(("coarse", "points"), backbone) == ("coarse", "points")


@pytest.mark.parametrize("stages", [("cloud",), ("points", "block_9"), (), ("points", "points")])
def test_stages_without_places_are_refused_with_the_names_of_the_others(stages: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="points, patches, coarse"):
        geometric(stages=list(stages))


def test_a_geometric_run_leaves_a_classifier_and_no_normal_heads(storage: Storage) -> None:
    experiment = tiny_pretrain(storage, paradigm={"kind": "geometric"}, training={"epochs": 1})
    outcome = run(experiment)
    manifest = read_manifest(storage, f"{outcome.path}/model")
    assert manifest is not None
    assert outcome.record is not None
    assert set(manifest.files) == {"backbone.safetensors", "head.safetensors"}
    assert 0 < outcome.record.metrics["validation/normal_error_block_1"] < 90
    assert head_of(experiment) == HeadConfig()
