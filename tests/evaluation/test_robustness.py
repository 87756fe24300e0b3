"""Corruption errors follow their definitions, and say what they may be compared with."""

from dataclasses import replace

import pytest

from pointlab.config import validate
from pointlab.errors import ConfigError
from pointlab.evaluation.baselines import DGCNN, Baseline
from pointlab.evaluation.robustness import (
    RobustnessResult,
    robustness_metrics,
    warnings_about,
)


def result_of(accuracies: dict[str, float], clean: float | None = None) -> RobustnessResult:
    """A result whose accuracies spread around the given ones by severity, as real ones do."""
    spread = {name: {s: value + 0.01 * (3 - s) for s in range(1, 6)} for name, value in accuracies.items()}
    return RobustnessResult("modelnet_c", "generated", "a1b2", spread, clean)


PUBLISHED = result_of(DGCNN.accuracies, DGCNN.clean)
HALVES = Baseline(name="halves", clean=0.9, accuracies={"a": 0.5, "b": 0.7})


@pytest.mark.parametrize("rounding", ["none", "paper"])
def test_the_published_baseline_measures_itself_as_one(rounding: str) -> None:
    metrics = robustness_metrics(PUBLISHED, DGCNN, rounding)
    assert metrics["mCE"] == pytest.approx(1)
    assert metrics["RmCE"] == pytest.approx(1)
    assert metrics["mOA"] == pytest.approx(0.764, abs=5e-4)  # as published
    assert metrics["accuracy"] == 0.926
    assert all(value == pytest.approx(1) for name, value in metrics.items() if name.endswith("CE"))


def test_errors_are_ratios_of_means_over_severities() -> None:
    metrics = robustness_metrics(result_of({"a": 0.6, "b": 0.4}, clean=0.8), HALVES)
    assert metrics["a/accuracy"] == pytest.approx(0.6)
    assert metrics["a/1/accuracy"] == pytest.approx(0.62)
    assert metrics["a/CE"] == pytest.approx(0.4 / 0.5)
    assert metrics["b/CE"] == pytest.approx(0.6 / 0.3)
    assert metrics["mCE"] == pytest.approx((0.8 + 2.0) / 2)
    assert metrics["a/RCE"] == pytest.approx(0.2 / 0.4)
    assert metrics["b/RCE"] == pytest.approx(0.4 / 0.2)
    assert metrics["RmCE"] == pytest.approx((0.5 + 2.0) / 2)
    assert metrics["mOA"] == pytest.approx(0.5)


def test_the_plain_error_needs_neither_baseline_nor_clean_clouds() -> None:
    metrics = robustness_metrics(result_of({"a": 0.6, "b": 0.4}), None)
    assert metrics["error"] == pytest.approx(0.5)
    assert not any(name.endswith("CE") or name == "accuracy" for name in metrics)


def test_without_clean_clouds_there_are_no_relative_errors() -> None:
    metrics = robustness_metrics(result_of({"a": 0.6, "b": 0.4}), HALVES)
    assert "mCE" in metrics
    assert not any("RCE" in name or name == "RmCE" for name in metrics)


def test_paper_rounding_rounds_every_step_to_three_decimals() -> None:
    """0.12345 becomes 0.123 first, so CE is 0.877 / 0.5 = 1.754; unrounded it is 1.7531."""
    result = result_of({"a": 0.12345, "b": 0.7}, clean=0.88888)
    paper, plain = robustness_metrics(result, HALVES, "paper"), robustness_metrics(result, HALVES)
    assert paper["a/accuracy"] == 0.123
    assert paper["a/CE"] == 1.754
    assert plain["a/CE"] == pytest.approx(1.7531)
    assert paper["mCE"] == round((1.754 + 1.0) / 2, 3)
    assert paper["a/RCE"] == round((0.889 - 0.123) / 0.4, 3)
    assert paper["accuracy"] == 0.889


def test_the_warning_tells_how_far_a_point_of_scale_accuracy_moves_rmce() -> None:
    warning = warnings_about(PUBLISHED, DGCNN)["warning"]
    assert "scale: DGCNN loses 0.020" in warning
    assert "RmCE by 0.07" in warning
    better = replace(
        PUBLISHED, accuracies=PUBLISHED.accuracies | {"scale": dict.fromkeys(range(1, 6), 0.916)}
    )
    moved = robustness_metrics(PUBLISHED, DGCNN)["RmCE"] - robustness_metrics(better, DGCNN)["RmCE"]
    assert moved == pytest.approx(0.07, abs=0.005), "the warning's figure is the true one"


def test_there_is_no_warning_where_rmce_is_sound_or_not_reported() -> None:
    assert "warning" not in warnings_about(result_of({"a": 0.6, "b": 0.4}, clean=0.8), HALVES)
    assert "warning" not in warnings_about(replace(PUBLISHED, clean=None), DGCNN)
    assert "warning" not in warnings_about(PUBLISHED, None)


def test_only_released_clouds_compare_with_published_figures() -> None:
    assert "yardstick" in warnings_about(PUBLISHED, DGCNN)["comparability"]
    assert "comparability" not in warnings_about(replace(PUBLISHED, origin="official"), DGCNN)


def test_a_generated_suite_says_how_its_clouds_differ_from_the_released_ones() -> None:
    def told(suite: str, *corruptions: str) -> str:
        result = RobustnessResult(suite, "generated", "a1b2", {name: {1: 0.5} for name in corruptions})
        return warnings_about(result, None)["comparability"]

    assert "farthest-point sample" in told("modelnet_c", "scale")
    assert "fewer points" in told("modelnet40_c", "occlusion", "uniform")
    assert "fewer points" not in told("modelnet40_c", "uniform")


def test_a_baseline_that_lacks_a_corruption_is_refused() -> None:
    with pytest.raises(ConfigError, match="halves has no accuracy under c"):
        robustness_metrics(result_of({"a": 0.6, "c": 0.4}), HALVES)


def test_a_baseline_that_loses_nothing_cannot_be_divided_by() -> None:
    with pytest.raises(ConfigError, match="less than its clean"):
        validate(Baseline, {"name": "x", "clean": 0.9, "accuracies": {"a": 0.9}}, "test")
