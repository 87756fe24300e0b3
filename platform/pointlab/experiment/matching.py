"""How a matching is carried out: each frame goes through the finished PPKT once, and is asked both ways."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from jaxtyping import Int64

from pointlab.data.batches import evaluation_batches
from pointlab.data.cache import CachedSplit
from pointlab.data.correspondence import UNSEEN
from pointlab.data.manifest import DatasetManifest
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.evaluation.matching import over_frames
from pointlab.experiment.going_on import require_going_on
from pointlab.experiment.match import MatchExperiment
from pointlab.experiment.matched import DISTANCES, METRES, ShownFrame, publish_frames
from pointlab.experiment.matched_frames import PIXEL_TO_POINT, WAYS, Frame, match_frames
from pointlab.experiment.prepared_data import inputs_of, open_data
from pointlab.experiment.reading_texts import teacher_of_pretraining
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.shown import spread
from pointlab.experiment.stored_models import read_module, seeded, seeded_backbone
from pointlab.objectives.pixels import SeenMaps
from pointlab.paradigms import Given
from pointlab.paradigms.ppkt import Ppkt
from pointlab.storage import Storage
from pointlab.teachers import ImageMaps, hash_of
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights
from pointlab.training.numerics import prepare_process

FOR_THE_EYE = ("colours", "point_labels")
"""What a page shows of points beside what the network reads of them, where the set has it."""


def match(resolved: Resolved[MatchExperiment], context: TrainContext) -> Findings:
    """Figures of both directions beside those of chance, a row for each frame; and some frames, stored.

    Raises DataError where no frame shows points of its cloud, ConfigError where the teacher is not that of
    the pretraining; PreemptedError when asked to end: it is short and then made again from its beginning.
    """
    experiment = resolved.experiment
    prepare_process(experiment.num_threads)
    data = open_data(context.storage, resolved.datasets["data"], experiment.points_shown)
    folder = teacher_of_pretraining(resolved, "image_teacher", context.storage)
    network = finished_ppkt(resolved, context.storage, folder).to(context.device)
    findings = Matching(resolved, context, data.split(experiment.split), network).findings()
    notes = {"sha256 of the image teacher's weights": hash_of(folder), DISTANCES: _unit_of(data.manifest)}
    return replace(findings, notes=notes | findings.notes)


def finished_ppkt(resolved: Resolved[MatchExperiment], storage: Storage, folder: Path) -> Ppkt:
    """The paradigm with the weights that its training has left, whose teacher sees every picture anew."""
    experiment = resolved.experiment
    backbone = seeded_backbone(experiment.pretrained.architecture, experiment.seed)
    with seeded("matching"):
        given = Given(num_classes=0, providers={"image_teacher": SeenMaps(ImageMaps(folder))})
        network = Ppkt(experiment.paradigm, backbone, given)
    for name, module in network.exported().items():
        load_weights(module, read_module(storage, resolved.parents["pretrained"], name))
    network.requires_grad_(False).eval()
    return network


def _unit_of(manifest: DatasetManifest) -> str:
    """What lengths are told in: metres, as far as the set says that it is in metres and keeps them."""
    is_metric = manifest.card.scale == "metres" and manifest.normalise == "none"
    return METRES if is_metric else "in units of the set"


@dataclass(frozen=True)
class Matching:
    """One PPKT and the frames that it is asked about."""

    resolved: Resolved[MatchExperiment]
    context: TrainContext
    split: CachedSplit
    network: Ppkt

    def findings(self) -> Findings:
        """What the record will say of the frames."""
        started = time.perf_counter()
        experiment = self.resolved.experiment
        rows = spread(len(self.split), experiment.num_frames).numpy()
        frames = list(self._frames(rows))
        if not frames:
            raise DataError(
                f"None of {len(rows)} {experiment.split} frames shows two points of its cloud.",
                expected="frames whose first picture is by a known camera and shows points",
                remedy="choose another split, or a set whose pictures show their clouds",
            )
        publish_frames(self.context.storage, self.resolved.run, self._shown(frames))
        groups, unit = self._groups(frames)
        return Findings(
            metrics=self._metrics(frames, groups),
            curves={"frames": [_row(frame) for frame in frames]},
            notes={
                "intervals": f"95 %, by a bootstrap over {len(set(groups))} {unit}",
                "frames without seen points": str(len(rows) - len(frames)),
            },
            samples_seen=len(rows),
            device_seconds=time.perf_counter() - started,
        )

    def _frames(self, rows: Int64[np.ndarray, " rows"]) -> Iterator[Frame]:
        """What was found in each of these clouds, for as long as nobody asks to end."""
        experiment, done = self.resolved.experiment, 0
        for batch in self._batches(rows):
            require_going_on(self.resolved.run, self.context)
            yield from match_frames(self.network, batch, experiment)
            done += len(batch)
            self.context.watch(self.resolved.run, done, len(rows), {})

    def _batches(self, rows: Int64[np.ndarray, " rows"]) -> Iterator[PointBatch]:
        experiment = self.resolved.experiment
        shown = (name for name in FOR_THE_EYE if name in self.split.per_point)
        inputs = tuple(dict.fromkeys((*inputs_of(self.network), *shown)))
        crop = self.network.picture_crop
        return evaluation_batches(
            self.split, experiment.batch_size, experiment.points_shown, inputs, crop, rows=rows
        )

    def _shown(self, frames: Sequence[Frame]) -> dict[str, ShownFrame]:
        """Frames evenly from the one with the lowest median distance to the one with the highest, of those
        that keep a point that is seen."""
        shown = (frame for frame in frames if (frame.shown.pixels > UNSEEN).any())
        ordered = sorted(shown, key=lambda frame: frame.figures[PIXEL_TO_POINT]["median_distance"])
        places = spread(len(ordered), self.resolved.experiment.frames_shown).tolist()
        return {str(ordered[place].identity): ordered[place].shown for place in places}

    def _groups(self, frames: Sequence[Frame]) -> tuple[list[str], str]:
        """What intervals draw again, by frame: the groups of the set, such as rooms, where it has several."""
        groups = dict(zip(self.split.ids.tolist(), self.split.groups.tolist(), strict=True))
        named = [groups[frame.identity] or str(frame.identity) for frame in frames]
        if 1 < len(set(named)) < len(named):
            return named, "groups of frames"
        return [str(frame.identity) for frame in frames], "frames"

    def _metrics(self, frames: Sequence[Frame], groups: Sequence[str]) -> dict[str, float]:
        counts = {
            "frames": float(len(frames)),
            "pairs_per_frame": fmean(frame.num_pairs for frame in frames),
            "seen_per_frame": fmean(frame.num_seen for frame in frames),
        }
        found = {
            f"{way}/{name}": value
            for way in WAYS
            for name, value in over_frames([frame.figures[way] for frame in frames], groups).items()
        }
        split = self.resolved.experiment.split
        return {f"{split}/{name}": value for name, value in (found | counts).items()}


def _row(frame: Frame) -> dict[str, float | str]:
    """A frame's row in the table of the record."""
    counts: Mapping[str, float] = {"seen": frame.num_seen, "pairs": frame.num_pairs}
    figures = {f"{way}/{name}": value for way in WAYS for name, value in frame.figures[way].items()}
    return {"id": str(frame.identity), **counts, **figures}
