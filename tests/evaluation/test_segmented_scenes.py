"""Whole scenes are named point by point: each counted once, windows averaged, figures of the split's sums."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pointlab.backbones import Backbone, Features
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.evaluation import SceneViewConfig
from pointlab.evaluation.scene_views import views_of
from pointlab.evaluation.segmentation import (
    Segmenter,
    Viewing,
    measure_scenes,
    scene_probabilities,
    segmentation_metrics,
)
from pointlab.objectives.confusion import ClassCounts

CPU = torch.device("cpu")
NAMES = ("left", "right", "never")


class Coordinates(Backbone):
    """Features of a point are its place, and how far to the right the mean of what is shown with it lies."""

    widths, num_features, min_points, stages = (4,), 4, 3, ("all",)
    point_stages = stages

    def compute(self, batch: PointBatch, stages: Any) -> dict[str, Features]:
        mean = batch.points[..., :1].sum(1, keepdim=True) / batch.counts[:, None, None]
        tokens = torch.cat([batch.points, mean.expand(-1, batch.points.shape[1], 1)], dim=2)
        return {"all": Features(tokens, batch.points, tokens.amax(1))}

    def stage_of(self, parameter: str) -> str:
        return "all"


def side_teller(*, by_mean: bool = False) -> Segmenter:
    """Names what has x above 0, or what is seen with such points, "right", and the rest "left"."""
    head = nn.Linear(4, 3)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 0.0, -9.0]))
        head.weight[1, 3 if by_mean else 0] = 8.0
    return Segmenter(Coordinates(), head, NAMES)


def split_of(folder: Path, scenes: list[np.ndarray], labels: list[np.ndarray]) -> CachedSplit:
    folder.mkdir()
    lengths = [len(scene) for scene in scenes]
    arrays = {
        "ids": np.arange(len(scenes)),
        "labels": np.full(len(scenes), -1),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "groups": np.array(["" for _ in scenes]),
        "points": np.concatenate(scenes).astype(np.float32),
        "point_labels": np.concatenate(labels),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return CachedSplit(folder)


def two_scenes() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points on both sides; the truth is the side, but for some points, and some have no label."""
    source = np.random.default_rng(0)
    scenes = [source.uniform(-2, 2, (size, 3)) for size in (50, 23)]
    labels = [(scene[:, 0] > 0).astype(np.int64) for scene in scenes]
    labels[0][:5] = 1 - labels[0][:5]
    labels[1][:3] = -1
    return scenes, labels


@pytest.mark.parametrize(("num_rows", "num_points"), [(50, 16), (16, 16), (17, 16), (7, 16)])
def test_a_whole_scene_is_spoken_for_once_in_views_of_equal_size(num_rows: int, num_points: int) -> None:
    points = np.zeros((num_rows, 3), np.float32)
    views = list(views_of(points, SceneViewConfig(), num_points, fewest=3))
    own = np.concatenate([view.rows[: view.num_own] for view in views])
    assert sorted(own.tolist()) == list(range(num_rows))
    assert {len(view.rows) for view in views} == {min(num_rows, num_points)}
    assert all(len(set(view.rows.tolist())) == len(view.rows) for view in views)


def test_windows_cover_every_point_and_thin_ones_grow_to_the_nearest() -> None:
    source = np.random.default_rng(1)
    points = np.concatenate([source.uniform(0, 3, (60, 3)), [[7.0, 1.0, 7.3]]]).astype(np.float32)
    ground = points[:, [0, 2]].astype(np.float64)
    views = list(views_of(points, SceneViewConfig(window=2.0, stride=1.5), num_points=8, fewest=4))
    spoken_for = np.concatenate([view.rows[: view.num_own] for view in views])
    assert set(spoken_for.tolist()) == set(range(61))
    for view in views:
        extent = np.ptp(ground[view.rows[: view.num_own]], axis=0)
        assert (extent <= 2.0 + 1e-6).all()
        assert 4 <= len(view.rows) <= 8
    (lonely,) = [view for view in views if 60 in view.rows[: view.num_own]]
    assert lonely.num_own == 1
    corner = ground.min(0) + 1.5 * np.ceil((np.ptp(ground, axis=0) - 2.0) / 1.5)
    distances = np.linalg.norm(ground[:60] - corner - 1.0, axis=1)
    assert set(lonely.rows[1:].tolist()) == set(np.argsort(distances)[:3].tolist())


def test_a_stride_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="no point lies between"):
        SceneViewConfig(window=1.0, stride=1.5)


@pytest.mark.parametrize("num_points", [100, 9])
@pytest.mark.parametrize("views", [SceneViewConfig(), SceneViewConfig(window=1.5)])
def test_figures_are_those_of_all_labelled_points_in_any_views(
    tmp_path: Path, num_points: int, views: SceneViewConfig
) -> None:
    scenes, labels = two_scenes()
    split = split_of(tmp_path / "test", scenes, labels)
    counts = measure_scenes(side_teller(), split, Viewing(views, num_points, batch_size=3), CPU)
    named, truth = np.concatenate(scenes)[:, 0] > 0, np.concatenate(labels)
    named, truth = named[truth >= 0], truth[truth >= 0]
    iou = [float(((named == k) & (truth == k)).sum() / ((named == k) | (truth == k)).sum()) for k in (0, 1)]
    figures = segmentation_metrics(counts, NAMES)
    assert counts.labelled.sum() == 70
    assert figures == pytest.approx(
        {
            "miou": sum(iou) / 2,
            "mean_class_accuracy": np.mean([(named == k)[truth == k].mean() for k in (0, 1)]),
            "accuracy": (named == truth).mean(),
            "iou/left": iou[0],
            "iou/right": iou[1],
        }
    )


def test_where_windows_overlap_what_they_say_is_averaged(tmp_path: Path) -> None:
    """Points at x = -1, 0 and 1 in windows of 1, side by side: those at 0 are seen with either side."""
    scene = np.array([[x, 0, z] for x in (-1.0, 0.0, 1.0) for z in (0.0, 0.2, 0.4)])
    split = split_of(tmp_path / "test", [scene], [np.zeros(9, np.int64)])
    viewing = Viewing(SceneViewConfig(window=1.0, stride=1.0), num_points=20, batch_size=1)
    said = scene_probabilities(side_teller(by_mean=True), split, 0, viewing, CPU)[:, 1]
    right, left = (float(torch.sigmoid(torch.tensor(8.0 * mean))) for mean in (0.5, -0.5))
    np.testing.assert_allclose(said, [left] * 3 + [(left + right) / 2] * 3 + [right] * 3, atol=1e-4)


def test_a_split_without_labels_is_told(tmp_path: Path) -> None:
    split = split_of(tmp_path / "test", [np.zeros((4, 3))], [np.full(4, -1)])
    with pytest.raises(DataError, match="has a label"):
        measure_scenes(side_teller(), split, Viewing(SceneViewConfig(), 8, 1), CPU)


def test_a_class_that_nobody_has_counts_in_no_mean_but_against_those_it_was_taken_for() -> None:
    scores = torch.eye(3)[[0, 0, 1, 2]]
    counts = ClassCounts.of(scores, torch.tensor([0, 0, 1, 1]))
    assert counts.figures() == pytest.approx({"miou": 0.75, "mean_class_accuracy": 0.75, "accuracy": 0.75})
    assert "iou/never" not in segmentation_metrics(counts, NAMES)
