"""How an analysis is carried out: one pass of all subjects over clouds of train and of one other split."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from pointlab import analysis
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError, PreemptedError
from pointlab.experiment.analyse import AnalyseExperiment
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.subjects import Reading
from pointlab.experiment.wiring import Data, open_data
from pointlab.seeding import KeyedDraws
from pointlab.training import TrainContext
from pointlab.training.numerics import prepare_process

HEADLINES = ("linear_accuracy", "knn_accuracy", "rankme")
"""Measures of the last stage that become metrics of the record; all stages are in its tables."""
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
        experiment = self.resolved.experiment
        read = Reading(self.resolved, self.context.storage, self.data).subjects()
        fit, score = self._rows("train"), self._rows(experiment.split)
        started = time.perf_counter()
        found = analysis.analyse(
            [subject for subject, _ in read],
            self._batches("train", fit),
            self._batches(experiment.split, score),
            num_classes=self.data.num_classes,
            config=experiment.analysis,
            device=self.context.device,
            watch=self._watch(len(fit) + len(score)),
        )
        seconds = time.perf_counter() - started
        return Findings(
            metrics=_metrics(found.stages, experiment.split),
            curves=_tables(found, self.data.manifest.class_names),
            notes=self._notes(found, {subject.name: head for subject, head in read}, seconds),
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
        num_fit = round(experiment.fit_fraction * experiment.num_clouds)
        wanted = num_fit if split == "train" else experiment.num_clouds - num_fit
        return evenly_by_class(self.data.split(split), wanted, experiment.seed)

    def _batches(self, split: str, rows: Int64[np.ndarray, " rows"]) -> Iterator[PointBatch]:
        """These clouds, with normals where the set has them, for as long as nobody asks to end."""
        inputs = ("normals",) if self._has_normals() else ()
        for batch in self.data.batches(split, self.resolved.experiment.batch_size, inputs, rows)():
            self._require_going_on()
            yield batch

    def _has_normals(self) -> bool:
        splits = ("train", self.resolved.experiment.split)
        return all("normals" in self.data.split(split).per_point for split in splits)

    def _notes(self, found: analysis.Analysis, heads: Mapping[str, str], seconds: float) -> dict[str, str]:
        experiment = self.resolved.experiment
        config = experiment.analysis
        scored = f"{found.num_score} of {experiment.split} to score on"
        notes = {
            "clouds": f"{found.num_fit} of train to fit on, {scored}",
            "points of a cloud": str(experiment.points_shown),
            "CKA": f"{config.estimator}, {config.similarity_clouds} clouds together",
            "nearest neighbours": str(config.num_neighbours),
            **{f"head of {name}": head for name, head in heads.items()},
            "seconds of the pass": f"{seconds:.1f}",
        }
        if not self._has_normals():
            notes["normal error"] = f"not measured: {self.data.name} has no normals"
        return notes

    def _watch(self, num_clouds: int) -> Callable[[int], None]:
        return lambda done: self.context.watch(self.resolved.run, done, num_clouds, {})

    def _require_going_on(self) -> None:
        if self.context.should_stop():
            raise PreemptedError(
                f"{self.resolved.run} was asked to end.",
                remedy="run the same command again: it begins anew, for it takes minutes only",
            )


def evenly_by_class(split: CachedSplit, num_clouds: int, seed: int) -> Int64[np.ndarray, " rows"]:
    """Rows of so many clouds in stored order, as many of each class as there are; all of a smaller split.

    A cloud's place in the draw of its class depends on (seed, sample id) alone. Raises DataError if a cloud
    of the split has no label.
    """
    if bool((split.labels < 0).any()):
        raise DataError(
            f"{split.folder.parent.name} has clouds without a label.",
            expected="labels, which the probes of an analysis learn",
            remedy="choose a labelled set as data",
        )
    keys = KeyedDraws.of("analysis", seed, split.ids).bits("place", 1)[:, 0]
    places = np.empty(len(split), np.int64)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        places[members[np.argsort(keys[members])]] = np.arange(len(members))
    return np.sort(np.lexsort((keys, places))[:num_clouds])


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
