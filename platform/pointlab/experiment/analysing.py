"""How an analysis is carried out: one pass of all subjects over clouds of train and of one other split."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pointlab import analysis
from pointlab.analysis import FEWEST_SCORED
from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.data.subsets import evenly_by_class
from pointlab.errors import DataError
from pointlab.experiment.analyse import AnalyseExperiment
from pointlab.experiment.analysis_notes import Pass
from pointlab.experiment.going_on import require_going_on
from pointlab.experiment.legacy import notes_on_subjects
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.subjects import Reading
from pointlab.training import TrainContext
from pointlab.training.numerics import prepare_process
from pointlab.transfer import reestimate

HEADLINES = ("linear_accuracy", "knn_accuracy", "rankme")
"""Measures of the last stage that become metrics of the record; all stages are in its tables."""
NONE = np.empty(0, np.int64)
"""No rows: those of a split that no measure reads."""
Rows = list[dict[str, float | str]]


def analyse(resolved: Resolved[AnalyseExperiment], context: TrainContext) -> Findings:
    """Tables of all measures by stage, parameter, pair of stages and cloud, and what is to be known of them.

    Raises DataError where the set lacks a split or labels; PreemptedError when asked to end: the pass is
    short and is then made again from its beginning.
    """
    experiment = resolved.experiment
    prepare_process(experiment.num_threads)
    data = open_data(context.storage, resolved.datasets["data"], experiment.points_shown)
    return Task(resolved, context, data).findings()


@dataclass(frozen=True)
class Task:
    """One analysis with the set that it shows."""

    resolved: Resolved[AnalyseExperiment]
    context: TrainContext
    data: Data

    def findings(self) -> Findings:
        """All that the record will say."""
        experiment, config = self.resolved.experiment, self.resolved.experiment.analysis
        fit = self._rows("train") if config.learns else NONE
        score = self._rows(experiment.split) if config.scores else NONE
        self._require_clouds(fit, score)
        subjects = Reading(self.resolved, self.context.storage, self.data, self._settle).subjects()
        read = {name for subject in subjects for name in subject.backbone.inputs}
        started = time.perf_counter()
        found = analysis.analyse(
            subjects,
            self._batches("train", fit, 0, len(fit) + len(score), read),
            self._batches(experiment.split, score, len(fit), len(fit) + len(score), read),
            num_classes=self.data.num_classes,
            config=config,
            device=self.context.device,
        )
        seconds = time.perf_counter() - started
        made = Pass(experiment, found, subjects, self._labels("train", fit), self._has_normals())
        return Findings(
            metrics=_metrics(found.stages, experiment.split),
            curves=_tables(found, self.data.manifest.class_names) | {"shown": self._shown(fit, score)},
            notes=made.notes()
            | notes_on_subjects(experiment.subjects)
            | {"seconds": f"{seconds:.1f}, of which some for probes and drawings"},
            samples_seen=found.num_fit + found.num_score,
            device_seconds=seconds,
        )

    def _rows(self, split: str) -> Int64[np.ndarray, " rows"]:
        """The clouds of a split that are shown."""
        experiment = self.resolved.experiment
        if not self.data.manifest.rows.get(split):
            raise DataError(
                f"{self.data.name} has no {split} split.",
                expected="clouds of train to fit probes on, and others to score them on",
                remedy="raise data.validation_fraction, or set split: test",
            )
        wanted = experiment.num_fit if split == "train" else experiment.num_clouds - experiment.num_fit
        return evenly_by_class(self.data.split(split), wanted, experiment.seed)

    def _require_clouds(self, fit: Int64[np.ndarray, " fit"], score: Int64[np.ndarray, " score"]) -> None:
        """DataError before the pass where the set itself has too few clouds for the measures."""
        experiment = self.resolved.experiment
        if experiment.analysis.scores and len(score) < FEWEST_SCORED:
            raise DataError(
                f"{self.data.name} has {len(score)} {experiment.split} clouds to score on.",
                expected=f"at least {FEWEST_SCORED}",
                remedy="raise data.validation_fraction, or set split: test",
            )
        if len(fit) < experiment.fewest_fit:
            raise DataError(
                f"{self.data.name} has {len(fit)} train clouds to fit on.",
                expected=f"at least {experiment.fewest_fit} for these measures",
                remedy="lower analysis.num_neighbours or data.validation_fraction, or leave probes out of"
                " analysis.measures",
            )

    def _settle(self, backbone: Backbone) -> None:
        """Statistics of the clouds that probes are fit on: random weights come with none of any data."""
        size, rows = self.resolved.experiment.batch_size, self._rows("train")
        batches = self.data.batches("train", size, backbone.inputs, rows)
        reestimate(
            [backbone], batches(), self.context.device, lambda one, of: one.intermediates(of, one.stages)
        )

    def _batches(
        self, split: str, rows: Int64[np.ndarray, " rows"], done: int, total: int, read: Set[str]
    ) -> Iterator[PointBatch]:
        """These clouds, with what backbones read, and normals where the set has them, for as long as nobody
        asks to end."""
        inputs = tuple(sorted(read | ({"normals"} if self._has_normals() else set())))
        for batch in self.data.batches(split, self.resolved.experiment.batch_size, inputs, rows)():
            require_going_on(self.resolved.run, self.context)
            yield batch
            done += len(batch)
            self.context.watch(self.resolved.run, done, total, {})

    def _labels(self, split: str, rows: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        return np.asarray(self.data.split(split).labels[rows], np.int64) if len(rows) else rows

    def _shown(self, fit: Int64[np.ndarray, " fit"], score: Int64[np.ndarray, " score"]) -> Rows:
        """The table of what was read: a row for each split that was, by whose sizes figures are sure."""
        chosen = {"train": fit, self.resolved.experiment.split: score}
        return [
            {"split": split, "clouds": len(rows), "classes": len(np.unique(self._labels(split, rows)))}
            for split, rows in chosen.items()
            if len(rows)
        ]

    def _has_normals(self) -> bool:
        splits = [
            split for split in ("train", self.resolved.experiment.split) if self.data.manifest.rows.get(split)
        ]
        return all("normals" in self.data.split(split).per_point for split in splits)


def _metrics(stages: Iterable[Mapping[str, Any]], split: str) -> dict[str, float]:
    """The headline measures of every subject's last stage."""
    last = {str(row["subject"]): row for row in sorted(stages, key=lambda row: row["depth"])}
    return {
        f"{split}/{name}/{row['stage']}/{measure}": float(row[measure])
        for name, row in last.items()
        for measure in HEADLINES
        if measure in row
    }


def _tables(found: analysis.Analysis, class_names: Sequence[str]) -> dict[str, Rows]:
    """The tables as a record keeps them: classes by name, not by number."""
    embedding = [
        {"subject": row["subject"], "stage": row["stage"], "x": row["x"], "y": row["y"]}
        | {"class": class_names[int(row["label"])], "id": row["id"]}
        for row in found.embedding
    ]
    tables = {"stages": found.stages, "parameters": found.parameters, "cka": found.cka}
    return {name: _plain(rows) for name, rows in (tables | {"embedding": embedding}).items()}


def _plain(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows of equal keys, in which what was not measured is an empty text."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: _known(row.get(name)) for name in names} for row in rows]


def _known(value: Any) -> float | str:
    """The value, or an empty text for none: JSON knows no NaN."""
    is_missing = value is None or (isinstance(value, float) and not math.isfinite(value))
    return "" if is_missing else value
