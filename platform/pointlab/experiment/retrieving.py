"""How a retrieval is carried out: all clouds of a split are embedded once, and every query ranks them."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones import ReconTransformer
from pointlab.data.cache import CachedSplit
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import pooled_features
from pointlab.evaluation.retrieval import (
    COLLAPSED,
    Retrieved,
    mean_cosine,
    retrieval_metrics,
    search_gallery,
)
from pointlab.experiment.gallery_queries import Queries, by_captions, by_pictures, by_pictures_of_a_class
from pointlab.experiment.going_on import require_going_on
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.reading_texts import (
    QueryOfTeacher,
    TeacherRole,
    read_projection,
    teacher_of_pretraining,
)
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.retrieve import QUERIES, RetrieveExperiment
from pointlab.experiment.retrieved import Shown, publish_shown, spread_over_ranks, table_of
from pointlab.experiment.stored_models import read_module, seeded_backbone
from pointlab.teachers import hash_of
from pointlab.training import TrainContext
from pointlab.training.checkpoint import load_weights
from pointlab.training.numerics import prepare_process
from pointlab.transfer.zero_shot import folded

ROLES: dict[QueryOfTeacher, TeacherRole] = {"text": "text_teacher", "image": "image_teacher"}
NAMES: dict[QueryOfTeacher, str] = {"text": "text_to_shape", "image": "image_to_shape"}
ASK = {"text": by_captions, "image": by_pictures}


def retrieve(resolved: Resolved[RetrieveExperiment], context: TrainContext) -> Findings:
    """Figures of each kind of query beside those of chance, and what some queries found; pictures, stored.

    Raises DataError where no cloud of the split has a caption or a picture, ConfigError where a teacher is
    not that of the projection; PreemptedError when asked to end: it is short and then made again from its
    beginning.
    """
    experiment = resolved.experiment
    prepare_process(experiment.num_threads)
    data = open_data(context.storage, resolved.datasets["data"], experiment.points_shown)
    return Retrieval(resolved, context, data, data.split(experiment.split)).findings()


@dataclass(frozen=True)
class Retrieval:
    """One ReCon and the clouds that are looked for."""

    resolved: Resolved[RetrieveExperiment]
    context: TrainContext
    data: Data
    split: CachedSplit

    def findings(self) -> Findings:
        """All that the record will say."""
        started = time.perf_counter()
        experiment, run, split = self.resolved.experiment, self.resolved.run, self.split
        folders = self._folders()
        asked = {query: ASK[query](split, folder, self.context.device) for query, folder in folders.items()}
        embedded = self._embedded(asked)
        found = self._found(asked, embedded)
        alike = {NAMES[query]: mean_cosine(features) for query, features in embedded.items()}
        shown = {
            name: self._shown(query, asked[query], found[name])
            for query, name in NAMES.items()
            if query in asked
        }
        publish_shown(self.context.storage, run, split, experiment.points_shown, shown.values())
        class_names = self.data.manifest.class_names
        return Findings(
            metrics={
                f"{experiment.split}/{name}/{measure}": value
                for name, retrieved in found.items()
                for measure, value in retrieval_metrics(retrieved).items()
            }
            | {f"{experiment.split}/{name}/mean_cosine": value for name, value in alike.items()},
            curves={name: table_of(each, split, class_names) for name, each in shown.items()},
            notes=self._notes(folders) | _note_on_collapse(alike),
            samples_seen=len(self.split),
            device_seconds=time.perf_counter() - started,
        )

    def _folders(self) -> dict[QueryOfTeacher, Path]:
        """The teacher of each kind of queries that there are; DataError where there are none of either."""
        hindrances = {query: self._hindrance(query) for query in QUERIES}
        if all(hindrances.values()):
            raise DataError(
                f"No shape can be looked for: {'; '.join(filter(None, hindrances.values()))}.",
                expected=f"{self.split.folder.name} clouds with captions or pictures",
                remedy="choose a set that has them, or another split",
            )
        return {
            query: teacher_of_pretraining(self.resolved, ROLES[query], self.context.storage)
            for query in QUERIES
            if hindrances[query] is None
        }

    def _found(
        self,
        asked: Mapping[QueryOfTeacher, Queries],
        embedded: Mapping[QueryOfTeacher, Float[Tensor, "clouds _"]],
    ) -> dict[str, Retrieved]:
        """What each kind of query found; pictures also by class, as far as there are labels."""
        found = {NAMES[query]: self._search(queries, embedded[query]) for query, queries in asked.items()}
        if "image" in asked:
            of_classes = by_pictures_of_a_class(asked["image"], self.split)
            if len(of_classes.wanted):
                found["image_to_class"] = self._search(of_classes, embedded["image"])
        return found

    def _hindrance(self, query: QueryOfTeacher) -> str | None:
        """Why no shape can be looked for by this, as the settings or what is prepared have it."""
        is_there = bool(self.split.caption_texts) if query == "text" else self.split.num_pictures > 0
        what = {"text": "caption", "image": "picture"}[query]
        missing = None if is_there else f"no {self.split.folder.name} cloud of {self.data.name} has a {what}"
        return self.resolved.experiment.hindrance(query) or missing

    def _embedded(
        self, asked: Mapping[QueryOfTeacher, Queries]
    ) -> dict[QueryOfTeacher, Float[Tensor, "clouds _"]]:
        """What each cloud of the split says to the queries of each kind, in the space of their teacher."""
        run, pretrained = self.resolved.parents["pretrained"], self.resolved.experiment.pretrained
        layers = {
            query: self._projection(query, queries.features.shape[1]) for query, queries in asked.items()
        }
        backbone = seeded_backbone(pretrained.architecture, pretrained.seed)
        assert isinstance(backbone, ReconTransformer), "checked when the model was made"
        load_weights(backbone, read_module(self.context.storage, run, "backbone"))
        (table,) = pooled_features([backbone.to(self.context.device)], self._batches(), self.context.device)
        names = backbone.config.queries
        return {query: folded({query: layer}, names, 1.0)(table.features) for query, layer in layers.items()}

    def _projection(self, query: QueryOfTeacher, width: int) -> nn.Linear:
        """The layer to the teacher's features; ConfigError where there is none, or not for these."""
        run = self.resolved.parents["pretrained"]
        layer = read_projection(self.context.storage, run, query)
        if layer is None or layer.out_features != width:
            found = "has stored none" if layer is None else f"leads to {layer.out_features} channels"
            raise ConfigError(
                f"The {query} projection of {run} {found}.",
                expected=f"one to the {width} channels of the {ROLES[query]}",
                remedy=f"name the {ROLES[query]} that it learned from, or leave {ROLES[query]} out",
            )
        return layer

    def _batches(self) -> Iterator[PointBatch]:
        """All clouds as evaluations see them, for as long as nobody asks to end."""
        experiment, done = self.resolved.experiment, 0
        inputs = experiment.pretrained.architecture.inputs
        for batch in self.data.batches(experiment.split, experiment.batch_size, inputs)():
            require_going_on(self.resolved.run, self.context)
            yield batch
            done += len(batch)
            self.context.watch(self.resolved.run, done, len(self.split), {})

    def _search(self, queries: Queries, embedded: Float[Tensor, "clouds _"]) -> Retrieved:
        return search_gallery(
            queries.features,
            torch.tensor(queries.wanted),
            embedded,
            torch.tensor(queries.found),
            num_shown=self.resolved.experiment.shapes_shown,
        )

    def _shown(self, query: QueryOfTeacher, queries: Queries, retrieved: Retrieved) -> Shown:
        places = spread_over_ranks(retrieved, self.resolved.experiment.queries_shown)
        wanted = queries.wanted[places.numpy()].tolist()
        if query == "text":
            return Shown(retrieved, places, texts=tuple(self.split.caption_texts[each] for each in wanted))
        return Shown(retrieved, places, rows=tuple(wanted))

    def _notes(self, folders: Mapping[QueryOfTeacher, Path]) -> dict[str, str]:
        """What is to be known beside the figures: the teachers by hash, and what could not be asked."""
        notes = {f"sha256 of the {query} teacher's weights": hash_of(path) for query, path in folders.items()}
        missing = {query: self._hindrance(query) for query in QUERIES if query not in folders}
        return notes | {f"{query} to shape": f"not asked, as {why}" for query, why in missing.items()}


def _note_on_collapse(alike: Mapping[str, float]) -> dict[str, str]:
    """A warning where the shapes hardly differ in the space that they are looked for in."""
    found = [
        f"{cosine:.4f} ({name.replace('_', ' ')})" for name, cosine in alike.items() if cosine > COLLAPSED
    ]
    told = f"the shapes hardly differ: the cosine of two is {' and '.join(found)} in the mean"
    return {"collapsed": told} if found else {}
