"""How well a classifier withstands corruptions: the figures of ModelNet-C and of ModelNet40-C.

With OA_c the overall accuracy under corruption c, averaged over its severities:

    mOA   mean of OA_c
    CE_c  (1 - OA_c) / (1 - baseline OA_c)                                mCE: mean of CE_c
    RCE_c (OA_clean - OA_c) / (baseline OA_clean - baseline OA_c)         RmCE: mean of RCE_c
    error 1 - mOA, the figure of ModelNet40-C, which divides by no baseline

What is published of a baseline are means over all severities, so that a part of them has no ratio to it.

(Ren, Pan and Liu, ICML 2022; Sun et al., 2022.) A figure belongs to the clouds it was measured on: a record
notes the suite's hash, and a report averages over none but records of the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pointlab.data.corruptions.contract import SEVERITIES
from pointlab.evaluation.baselines import Baseline, published_with

Rounding = Literal["none", "paper"]
Accuracies = Mapping[str, Mapping[int, float]]
"""Overall accuracy in [0, 1] by corruption and severity."""
FRAGILE_DENOMINATOR = 0.05
"""Loss of the baseline under a corruption below which the division by it is worth a warning."""


@dataclass(frozen=True)
class RobustnessResult:
    """Accuracies of one classifier under one suite; `clean` is None where there are no clean clouds."""

    suite: str
    origin: str
    suite_hash: str
    accuracies: Accuracies
    clean: float | None = None


def robustness_metrics(
    result: RobustnessResult, baseline: Baseline | None, rounding: Rounding = "none"
) -> dict[str, float]:
    """Every figure by name, in [0, 1] but for the ratios.

    `<corruption>/<severity>/accuracy`, `<corruption>/accuracy`, `mOA`, `error`; `accuracy` where there are
    clean clouds; with a baseline `<corruption>/CE` and `mCE`; with both, `<corruption>/RCE` and `RmCE`.

    With `paper` rounding, accuracies by corruption, ratios and means are rounded to 3 decimals one after the
    other, as the released evaluation does. Raises ConfigError where the baseline lacks a corruption.
    """
    rounded = _round_to_three if rounding == "paper" else float
    accuracies = {name: rounded(fmean(row.values())) for name, row in result.accuracies.items()}
    metrics = {
        f"{name}/{severity}/accuracy": value
        for name, row in result.accuracies.items()
        for severity, value in row.items()
    }
    metrics |= {f"{name}/accuracy": value for name, value in accuracies.items()}
    metrics["mOA"] = rounded(fmean(accuracies.values()))
    metrics["error"] = rounded(1 - fmean(accuracies.values()))
    if result.clean is not None:
        metrics["accuracy"] = rounded(result.clean)
    if baseline is not None:
        clean = metrics.get("accuracy")
        metrics |= _ratios(accuracies, clean, baseline, rounded)
    return metrics


def _ratios(
    accuracies: Mapping[str, float],
    clean: float | None,
    baseline: Baseline,
    rounded: Callable[[float], float],
) -> dict[str, float]:
    """Errors as multiples of the baseline's, by corruption and in the mean."""
    baseline.require(accuracies)
    errors = {
        name: rounded((1 - value) / (1 - baseline.accuracies[name])) for name, value in accuracies.items()
    }
    ratios = {f"{name}/CE": value for name, value in errors.items()} | {
        "mCE": rounded(fmean(errors.values()))
    }
    if clean is None:
        return ratios
    losses = {name: rounded((clean - value) / baseline.loss(name)) for name, value in accuracies.items()}
    ratios |= {f"{name}/RCE": value for name, value in losses.items()}
    return ratios | {"RmCE": rounded(fmean(losses.values()))}


def warnings_about(result: RobustnessResult, baseline: Baseline | None) -> dict[str, str]:
    """What to know before comparing these figures, by the name that a record notes it under."""
    found = {}
    if result.origin == "generated":
        found["comparability"] = (
            f"The clouds are generated, not those of the released {result.suite}: published figures, and"
            " ratios to a baseline measured on released clouds, are a yardstick and no comparison."
            f" {' '.join(_differences(result))}"
        )
    if baseline is None and (left_out := _left_out(result)):
        found["warning"] = left_out
    if baseline is not None and result.clean is not None:
        num_corruptions = len(result.accuracies)
        terms = [
            f"{name}: {baseline.name} loses {loss:.3f}, so one percentage point of accuracy moves RmCE by"
            f" {0.01 / loss / num_corruptions:.2f}"
            for name in result.accuracies
            if (loss := baseline.loss(name)) < FRAGILE_DENOMINATOR
        ]
        if terms:
            found["warning"] = (
                f"RmCE divides by what the baseline loses, which is little. {'; '.join(terms)}."
            )
    return found


def _left_out(result: RobustnessResult) -> str:
    """Why a part of the severities has no ratios to the baseline that is published; "" where none is."""
    measured = sorted({severity for row in result.accuracies.values() for severity in row})
    published = published_with(result.suite, SEVERITIES)
    if published is None or measured == sorted(SEVERITIES):
        return ""
    return (
        f"There are no ratios to {published.name} (CE, RCE and their means): its published accuracies are"
        f" means over {len(SEVERITIES)} severities, those here over severity {', '.join(map(str, measured))}."
    )


def _differences(result: RobustnessResult) -> Iterator[str]:
    """How generated clouds are known to differ from released ones."""
    if result.suite == "modelnet_c":
        yield (
            "They begin with the first stored points, as a rule a farthest-point sample; the released ones"
            " with random points."
        )
    if {"occlusion", "lidar"} & set(result.accuracies):
        yield (
            "Occlusion and LiDAR hide stored points, where the release renders meshes; of an occluded cloud"
            " fewer points are left than its 1,024."
        )


def _round_to_three(value: float) -> float:
    return round(value, 3)
