"""Matching finds what the definition says, both ways, beside exact chance, and over groups of frames."""

import numpy as np
import pytest
import torch

from pointlab.evaluation.matching import (
    SeenPoints,
    bootstrap,
    draw_pairs,
    match_pixels,
    match_points,
    over_frames,
)

POINTS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [6, 0, 0]])
PIXELS = torch.tensor([[0.0, 0], [0, 3], [0, 6], [0, 30]])
LABELS = torch.tensor([0, 0, 1, -1])
AXES = torch.eye(4)
CONFUSED = AXES[[0, 2, 1, 3]]
"""What pixels say where the second and the third are taken for each other."""
EVERY = torch.arange(4)


def test_what_is_taken_for_another_point_is_told_by_rank_distance_and_label() -> None:
    seen = SeenPoints(POINTS, PIXELS, AXES, 3 * CONFUSED, LABELS)
    found = match_points(seen, EVERY, (0.5, 1.0))
    assert found.distances.tolist() == [0, 1, 1, 0]
    assert found.figures["recall_at_1"] == 0.5
    assert found.figures["recall_at_10"] == 1
    assert (found.figures["within_0.5"], found.figures["within_1"]) == (0.5, 1)
    assert found.figures["same_label"] == pytest.approx(1 / 3)  # of the three points that have one
    back = match_pixels(seen, EVERY, (2.9, 3.0))
    assert back.distances.tolist() == [0, 3, 3, 0]
    assert (back.figures["within_2.9"], back.figures["within_3"]) == (0.5, 1)


def test_chance_is_the_mean_over_every_candidate_that_could_be_drawn() -> None:
    figures = match_points(SeenPoints(POINTS, PIXELS, AXES, AXES, LABELS), EVERY, (1.0,)).figures
    apart = (POINTS[:, None] - POINTS).norm(dim=2)
    assert figures["chance/within_1"] == float((apart <= 1).double().mean()) == 8 / 16
    assert figures["chance/median_distance"] == float(apart.flatten().median())
    assert figures["chance/recall_at_1"] == pytest.approx(1 / 4)
    assert figures["chance/same_label"] == pytest.approx((2 / 4 + 2 / 4 + 1 / 4) / 3)
    collapsed = match_points(SeenPoints(POINTS, PIXELS, AXES, torch.ones(4, 4), None), EVERY, (1.0,)).figures
    assert collapsed["recall_at_1"] == collapsed["chance/recall_at_1"]
    assert "same_label" not in collapsed


def test_candidates_beyond_the_pairs_are_found_but_do_not_count_for_recall() -> None:
    asked, torn = torch.tensor([0, 1]), AXES + AXES[[0, 2, 1, 3]] * torch.tensor([0, 2, 2, 0])[:, None]
    figures = match_points(SeenPoints(POINTS, PIXELS, AXES, torn), asked, (0.5,)).figures
    assert figures["recall_at_1"] == 1  # pixel 1 is nearest to point 2, which is not asked about
    assert (figures["within_0.5"], figures["chance/recall_at_1"]) == (0.5, 0.5)


def test_pairs_are_drawn_by_the_frame_alone_without_replacement() -> None:
    drawn = draw_pairs(20, 8, frame=5)
    assert drawn.tolist() == draw_pairs(20, 8, frame=5).tolist() != draw_pairs(20, 8, frame=6).tolist()
    assert len(set(drawn.tolist())) == 8
    assert draw_pairs(3, 8, frame=5).tolist() == [0, 1, 2]


def test_a_mean_is_over_the_frames_that_have_the_figure_and_its_interval_over_their_groups() -> None:
    frames = [{"a": 0.0, "chance/a": 0.5}, {"a": 0.0, "chance/a": 0.5}, {"a": 1.0, "b": 0.25}, {"a": 1.0}]
    found = over_frames(frames, ["x", "x", "y", "y"])
    assert (found["a"], found["b"], found["chance/a"]) == (0.5, 0.25, 0.5)
    assert (found["low/a"], found["high/a"]) == (0, 1)  # both of one group, a quarter of the time
    assert found.keys() == {"a", "low/a", "high/a", "b", "chance/a"}


def test_a_bootstrap_covers_what_the_normal_approximation_does() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    low, high = bootstrap(values, [str(number) for number in range(400)])
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
