"""`kind: retrieve`: texts and pictures look for shapes among all clouds of a split, by what ReCon learned.

A text query meets what each cloud's text query says in the space of the text teacher, a picture what the
image query says in that of the image teacher. Nothing is trained or chosen.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.modalities import remedy_for_captions, remedy_for_pictures
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.point_counts import require_points, require_points_for_patches
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.reading_texts import QueryOfTeacher
from pointlab.experiment.resolve import with_datasets_of
from pointlab.experiment.roles import WANTED, require_able
from pointlab.experiment.taught import LAYOUTS_OF_RECON
from pointlab.experiment.teacher import FinishedTeacher, TeacherExperiment
from pointlab.experiment.transfer_settings import Pretrained
from pointlab.paradigms import ReconParadigmConfig

QUERIES: tuple[QueryOfTeacher, ...] = ("text", "image")
"""What a shape can be looked for by, in the order of a page."""
REMEDIES = {"text": remedy_for_captions, "image": remedy_for_pictures}
"""What to do where the source gives nothing to ask by."""


class RetrieveExperiment(StrictModel):
    """One finished ReCon, one set with captions or pictures."""

    kind: Literal["retrieve"] = "retrieve"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    pretrained: Pretrained
    """A pretraining by `recon` with a teacher of texts, of pictures or both, made first if it is missing; or
    the import of a released one that has its projections (layout recon_pretrain, or recon_classifier of a
    zero-shot file)."""
    text_teacher: FinishedTeacher | None = None
    """What reads the texts; null takes that of the pretraining. An import has none: without one, no text is
    asked."""
    image_teacher: FinishedTeacher | None = None
    """What sees the pictures; null as for the texts."""
    data: DatasetConfig
    """Whose clouds are looked for, by their own captions and pictures; the pretraining should not have seen
    them."""
    num_points: int | None = Field(default=None, ge=1)
    """Points of a cloud; null takes as many as the pretraining."""
    split: Literal["validation", "test"] = "test"
    """test is for final figures; what is to be chosen by them is measured on validation."""
    queries_shown: int = Field(default=12, ge=1, le=100)
    """Queries of each kind with pictures of what they found, evenly from the best rank to the worst: the best
    alone would flatter, and a dozen fill a page. More than a hundred would make it slow to open."""
    shapes_shown: int = Field(default=6, ge=1, le=20)
    """Nearest shapes of each of them; six fit side by side, and twenty are three lines."""
    batch_size: int = Field(default=32, ge=1, json_schema_extra={"identity": False})
    """Clouds at a time; the papers' batch of training is small enough for any machine."""
    num_threads: int = Field(default=1, ge=1, json_schema_extra={"identity": False})
    """One, as in training, so that sums round alike."""
    launch: LaunchConfig = LaunchConfig()
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _can_be_asked(self) -> "RetrieveExperiment":
        if self.launch.kind != "local":
            raise ValueError("a retrieval runs in this process: launch.kind must be 'local'")
        self._require_queries()
        require_able({**dict.fromkeys(WANTED), **self.teachers})
        if isinstance(self.pretrained, ImportExperiment) and self.num_points is None:
            raise ValueError(
                "with how many points a released ReCon was trained is not known: give num_points"
            )
        require_points(self.points_shown, [self.data])
        require_points_for_patches(self.points_shown, AugmentationConfig(), self.pretrained.architecture)
        hindrances = [self.hindrance(query) for query in QUERIES]
        if all(hindrances):
            raise ValueError(f"there is nothing to look for shapes by: {'; '.join(filter(None, hindrances))}")
        return self

    def _require_queries(self) -> None:
        """ValueError for a parent whose queries have learned nothing, and for a teacher of no use to it."""
        if isinstance(self.pretrained, ImportExperiment):
            if self.pretrained.contents.layout not in LAYOUTS_OF_RECON:
                raise ValueError(
                    f"pretrained is an import of the layout {self.pretrained.contents.layout}, which has no"
                    " queries: set pretrained.path to a checkpoint of ReCon's pretraining, or of its"
                    " zero-shot classifier"
                )
            return
        paradigm = self.pretrained.paradigm
        if not isinstance(paradigm, ReconParadigmConfig):
            raise ValueError(
                f"pretrained is a pretraining by {paradigm.kind}, which learns nothing of pictures and texts:"
                " set pretrained.paradigm.kind to recon"
            )
        for query in QUERIES:
            if paradigm.weights[query] == 0 and self.teachers[f"{query}_teacher"] is not None:
                raise ValueError(
                    f"{query}_teacher is given, but pretrained.paradigm.{query}_weight is 0: set"
                    f" {query}_teacher to null, or raise that weight"
                )

    def hindrance(self, query: QueryOfTeacher) -> str | None:
        """Why shapes cannot be looked for by this, and what to set; None where the settings allow it."""
        paradigm = getattr(self.pretrained, "paradigm", None)
        if isinstance(paradigm, ReconParadigmConfig) and paradigm.weights[query] == 0:
            return f"pretrained.paradigm.{query}_weight is 0 (raise it)"
        if paradigm is None and self.teachers[f"{query}_teacher"] is None:
            return f"an import does not tell its {query}_teacher (set it)"
        remedy = REMEDIES[query](self.data)
        what = {"text": "captions", "image": "pictures"}[query]
        return None if remedy is None else f"{self.data.name} has no {what} ({remedy})"

    @property
    def teachers(self) -> dict[str, Any]:
        """The teachers that are named here, by the fields for them; None where one is left out."""
        return {f"{query}_teacher": getattr(self, f"{query}_teacher") for query in QUERIES}

    @property
    def seed(self) -> int:
        """That of the pretraining: a retrieval draws nothing."""
        return self.pretrained.seed

    @property
    def stamp(self) -> str:
        """What a table may compare this run's figures with."""
        return f"retrieval/{self.split}"

    @property
    def parents(self) -> dict[str, PretrainExperiment | ImportExperiment | TeacherExperiment]:
        """The experiments to finish first: the pretraining, and teachers that are trained here."""
        made = {role: each for role, each in self.teachers.items() if isinstance(each, TeacherExperiment)}
        return {"pretrained": self.pretrained, **made}

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """What is looked for, and all that its parents were trained on."""
        return with_datasets_of(self.parents, {"data": self.data})

    @property
    def points_shown(self) -> int:
        """Points of a cloud that the network sees."""
        if self.num_points is not None:
            return self.num_points
        assert isinstance(self.pretrained, PretrainExperiment), "checked when the model was made"
        return self.pretrained.num_points
