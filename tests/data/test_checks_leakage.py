"""Shapes that two splits share are found however they were sampled, turned, moved and scaled."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pytest
import torch

from pointlab.data.builtin.objects import CLASSES
from pointlab.data.catalogue import BUILT_IN, UNKNOWN, Card
from pointlab.data.checks import Finding, conclude, examine, leakage
from pointlab.data.checks.alignment import distance, make_shape
from pointlab.data.sample import Cloud
from pointlab.data.source import SourceIndex, SourceRow, Split
from pointlab.geometry import farthest_point_sample
from pointlab.seeding import generator

NAMES = ("chair", "bench", "lamp", "monitor", "table", "sofa")
NUM_POINTS = 1024


def rotation_of(*key: int | str) -> np.ndarray:
    """Any rotation, uniformly."""
    matrix = np.linalg.qr(generator("rotation", *key).normal(size=(3, 3)))[0]
    return matrix * np.sign(np.linalg.det(matrix))


@cache
def sampled(kind: str, instance: int, sampling: str) -> np.ndarray:
    """Points of one object; another sampling of the same object shares none."""
    assembly = CLASSES[kind](generator("object", kind, instance))
    points = assembly.sample(2 * NUM_POINTS, generator("sampling", kind, instance, sampling))[0]
    rows = farthest_point_sample(torch.from_numpy(points.astype(np.float32))[None], NUM_POINTS)[0]
    return points[rows.numpy()]


def cloud_of(kind: str, instance: int, sampling: str, *, posed: bool = False) -> Cloud:
    """That object, perhaps turned, scaled and moved at random."""
    points = sampled(kind, instance, sampling)
    if posed:
        source = generator("pose", kind, instance)
        points = source.uniform(0.2, 5) * points @ rotation_of(kind, instance) + source.normal(size=3)
    return Cloud(points.astype(np.float32), NAMES.index(kind))


def leaks(
    by_split: Mapping[Split, Sequence[Cloud]], rows: Sequence[SourceRow] = (), card: Card = UNKNOWN
) -> list[Finding]:
    """The findings about near duplicates; ids are 1000 times the number of the split, and the row."""
    points: dict[int, np.ndarray] = {}
    examinations = []
    for number, (split, clouds) in enumerate(by_split.items()):
        ids = [1000 * number + row for row in range(len(clouds))]
        points |= {identity: cloud.points for identity, cloud in zip(ids, clouds, strict=True)}
        examinations.append(examine(clouds, ids, split))
    index = SourceIndex(NAMES, tuple(rows), card=card)
    found = conclude(examinations, index, lambda ids: {i: points[i] for i in ids})
    return [finding for finding in found if finding.check == leakage.CHECK]


def training_clouds() -> list[Cloud]:
    return [cloud_of(kind, instance, "first") for kind in NAMES for instance in range(3)]


@pytest.mark.parametrize("posed", [False, True])
def test_another_sampling_of_a_training_shape_is_found(posed: bool):
    twins = [cloud_of(kind, 1, "second", posed=posed) for kind in NAMES]
    others = [cloud_of(kind, 9, "second", posed=posed) for kind in ("chair", "lamp", "bench")]
    (finding,) = leaks({"train": training_clouds(), "test": [*twins, *others]})
    assert finding.severity == "warning"
    assert finding.of == len(twins) + len(others)
    assert finding.sample_ids == tuple(1000 + row for row in range(len(twins)))
    assert finding.twins == tuple(3 * row + 1 for row in range(len(twins)))  # instance 1 of each kind


def test_other_shapes_of_the_same_classes_are_no_finding():
    others = [cloud_of(kind, 9, "first") for kind in ("chair", "lamp", "bench")]
    assert leaks({"train": training_clouds(), "test": others}) == []


def test_a_twin_of_another_class_is_a_note():
    twin = cloud_of("chair", 1, "second")
    (finding,) = leaks({"train": training_clouds(), "test": [Cloud(twin.points, NAMES.index("sofa"))]})
    assert (finding.severity, finding.count) == ("note", 1)
    assert "another class" in finding.message


@pytest.mark.parametrize(("is_given", "severity"), [(True, "warning"), (False, "note")])
def test_twins_in_validation_are_a_warning_only_where_the_source_made_that_split(
    is_given: bool, severity: str
):
    rows = [SourceRow("file", 0, "validation", 0)] if is_given else []
    twin = cloud_of("chair", 1, "second")
    (finding,) = leaks({"train": training_clouds(), "validation": [twin]}, rows)
    assert finding.severity == severity


def test_look_alikes_of_clouds_that_were_drawn_independently_are_a_note():
    twin = cloud_of("chair", 1, "second")
    (finding,) = leaks({"train": training_clouds(), "test": [twin]}, card=BUILT_IN)
    assert finding.severity == "note"


def test_clouds_of_few_points_are_not_compared_and_that_is_said():
    few = [cloud.take(np.arange(leakage.MIN_POINTS - 1)) for cloud in training_clouds()]
    (finding,) = leaks({"train": few, "test": [cloud_of("chair", 1, "second")]})
    assert (finding.severity, finding.count, finding.of) == ("note", len(few), len(few) + 1)


def test_a_set_prepared_with_few_points_is_not_compared():
    training = examine(training_clouds(), range(18), "train")
    twin = examine([cloud_of("chair", 1, "second")], [18], "test")
    few = sampled("chair", 1, "first")[:64]
    found = conclude([training, twin], SourceIndex(NAMES, ()), lambda ids: dict.fromkeys(ids, few))
    (finding,) = [finding for finding in found if finding.check == leakage.CHECK]
    assert (finding.severity, finding.count, finding.of) == ("note", 2, 19)  # the twins


def test_twins_are_found_beside_clouds_that_are_too_sparse_once_prepared():
    training, twins = training_clouds(), [cloud_of(kind, 1, "second") for kind in NAMES]
    points = {row: cloud.points for row, cloud in enumerate([*training, *twins])}
    points[len(training)] = points[len(training)][:64]  # as a coarse grid leaves them
    examinations = [
        examine(training, range(len(training)), "train"),
        examine(twins, range(len(training), len(points)), "test"),
    ]
    found = conclude(examinations, SourceIndex(NAMES, ()), lambda ids: {i: points[i] for i in ids})
    sparse, twin = [finding for finding in found if finding.check == leakage.CHECK]
    assert (sparse.severity, sparse.count) == ("note", 1)
    assert (twin.severity, twin.count) == ("warning", len(twins) - 1)


def test_what_is_not_compared_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(leakage.MAX_VERIFIED, ("train", "test"), 1)
    twins = [cloud_of(kind, 1, "second") for kind in NAMES]
    (finding,) = leaks({"train": training_clouds(), "test": twins})
    assert finding.count == 1
    assert "less likely pairs were not compared" in finding.message


@pytest.mark.parametrize("kind", NAMES)
def test_alignment_undoes_any_pose(kind: str):
    first, second = (
        make_shape(cloud_of(kind, 2, s, posed=s == "second").points) for s in ("first", "second")
    )
    assert distance(first, second) < leakage.MAX_DISTANCE
    assert distance(second, first) < leakage.MAX_DISTANCE


def test_a_mirror_image_is_another_shape():
    corner = generator("corner").uniform(0, 1, (3 * NUM_POINTS, 3)) * [1, 0.6, 0.3]
    for number, axis in enumerate((0, 1, 2)):
        corner[number::3, axis] = (
            0  # three walls of different lengths, which no turn maps to their mirror image
        )
    rows = farthest_point_sample(torch.from_numpy(corner)[None].float(), NUM_POINTS)[0].numpy()
    spiral = corner[rows] + np.column_stack(
        [np.zeros((NUM_POINTS, 2)), corner[rows][:, 0] * corner[rows][:, 1]]
    )
    shape, mirrored = make_shape(spiral), make_shape(spiral * [-1, 1, 1])
    assert distance(shape, make_shape(spiral @ rotation_of("mirror"))) < 0
    assert distance(shape, mirrored) > leakage.MAX_DISTANCE


def test_clouds_without_extent_are_infinitely_far_apart():
    point = make_shape(np.zeros((5, 3), np.float32))
    assert distance(point, make_shape(sampled("chair", 0, "first"))) == np.inf
