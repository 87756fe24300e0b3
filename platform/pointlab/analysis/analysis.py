"""The analysis: every measure of every stage of every subject, from one pass over the data.

The training split goes by first: gradients are taken from it, and probes are fit on it. Then the other split
goes by, on which everything is measured. Each batch is moved to the device once and shown to all subjects.
What grows with the number of clouds are the stage features, on the CPU: two numbers a channel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from pointlab.analysis.conclusion import Conclusion
from pointlab.analysis.drift import drift_by_stage
from pointlab.analysis.gathering import Gathered, Seen
from pointlab.analysis.gradients import Row
from pointlab.analysis.settings import AnalysisConfig
from pointlab.analysis.subject import Subject, under_measurement
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError

FEWEST_SCORED = 4
"""Clouds below which the unbiased CKA does not exist, nor a drawing."""


@dataclass(frozen=True)
class Analysis:
    """Tables of the measures, as rows that share their columns; what does not exist is absent from its row.

    `stages` has a row per subject and stage: subject, stage, depth (from 0), width (channels of a token),
    channels (of the feature that is probed), linear_accuracy, knn_accuracy, normal_error (degrees),
    gradient_norm, relative_gradient_norm, head (own or fresh), drift, started_as, rankme, effective_rank.
    `parameters` has a row per subject and parameter: subject, stage, parameter, size, gradient_norm,
    relative_gradient_norm. `cka` has subject_a, stage_a, subject_b, stage_b, value: for each subject all
    ordered pairs of its stages, and for each two subjects, in their order, all pairs between them.
    `embedding` has subject, stage, x, y, label, id. The counts say how many clouds were read.
    """

    stages: list[Row]
    parameters: list[Row]
    cka: list[Row]
    embedding: list[Row]
    num_fit: int
    num_score: int


def analyse(
    subjects: Sequence[Subject],
    fit: Iterable[PointBatch],
    score: Iterable[PointBatch],
    *,
    num_classes: int,
    config: AnalysisConfig,
    device: torch.device,
) -> Analysis:
    """All measures, from one pass over `fit`, of the training split, and one over `score`, of another.

    Batches carry labels, and normals where the error of the normals is wanted. No subject changes but for
    its device. `fit` is not read where no measure learns from it, nor `score` where none is taken there.
    Raises DataError for clouds without labels, for too few of them and for features that are not finite,
    ConfigError for equal names, TransferError where a head or a start does not fit.
    """
    _require_distinct_names(subjects)
    drifts = [drift_by_stage(subject) for subject in subjects]
    with under_measurement(subjects, device):
        gathered = [Gathered(subject, config, device) for subject in subjects]
        fit_seen = _learn(gathered, fit if config.learns else (), device)
        score_seen = _measure(gathered, score if config.scores else (), device)
    _require_clouds(config, len(fit_seen), len(score_seen))
    conclusion = Conclusion(gathered, fit_seen, score_seen, num_classes, config)
    return Analysis(
        stages=conclusion.stages(drifts),
        parameters=[row for one in gathered if one.gradients for row in one.gradients.by_parameter()],
        cka=conclusion.similarities(),
        embedding=conclusion.embedding(),
        num_fit=len(fit_seen),
        num_score=len(score_seen),
    )


def _learn(gathered: Sequence[Gathered], batches: Iterable[PointBatch], device: torch.device) -> Seen:
    """Everything that is learnt from the training split; which clouds it was."""
    seen = Seen()
    for batch in batches:
        seen.add(batch)
        here = batch.to(device)
        for one in gathered:
            one.fit(here)
    for one in gathered:
        one.solve()
    return seen


def _measure(gathered: Sequence[Gathered], batches: Iterable[PointBatch], device: torch.device) -> Seen:
    """Everything that is measured on the other split; which clouds it was."""
    seen = Seen()
    for batch in batches:
        seen.add(batch)
        here = batch.to(device)
        for one in gathered:
            one.score(here)
    return seen


def _require_distinct_names(subjects: Sequence[Subject]) -> None:
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"Two subjects share a name: {', '.join(names)}.",
            expected="distinct names",
            remedy="rename one of them",
        )


def _require_clouds(config: AnalysisConfig, num_fit: int, num_score: int) -> None:
    wanted = [
        (config.learns, num_fit, 1, "to learn from"),
        (config.scores, num_score, FEWEST_SCORED, "to measure on"),
    ]
    for is_wanted, found, fewest, purpose in wanted:
        if is_wanted and found < fewest:
            raise DataError(
                f"The analysis was given {found} clouds {purpose}.",
                expected=f"at least {fewest}",
                remedy="raise num_clouds, or choose a split that has more",
            )
