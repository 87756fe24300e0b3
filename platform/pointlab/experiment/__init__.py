"""Experiments: the models that know all the parts, one per `kind`, and what each of them does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pointlab.config import apply_overrides, read_yaml, validate
from pointlab.experiment.analyse import AnalyseExperiment
from pointlab.experiment.evaluate import EvaluateExperiment
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.match import MatchExperiment
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.prepare import PrepareExperiment
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.retrieve import RetrieveExperiment
from pointlab.experiment.search import SearchExperiment
from pointlab.experiment.study import StudyExperiment
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.experiment.transfer import TransferExperiment

Experiment = Annotated[
    PrepareExperiment
    | TeacherExperiment
    | PretrainExperiment
    | ImportExperiment
    | TransferExperiment
    | SearchExperiment
    | StudyExperiment
    | EvaluateExperiment
    | RetrieveExperiment
    | MatchExperiment
    | AnalyseExperiment,
    Field(discriminator="kind"),
]


def load(path: Path, overrides: Sequence[str] = (), folder: Path = Path()) -> Experiment:
    """The experiment in a YAML file, with `a.b=c` overrides; ConfigError lists every mistake at once.

    Both are read as by a process whose working directory is `folder`.
    A file that describes a dataset alone, such as those in `configs/data`, is the `data` of a preparation.
    """
    content = read_yaml(folder / path)
    if "kind" not in content and "source" in content:
        content = {"kind": "prepare", "data": content}
    mapping = apply_overrides(content, overrides, folder)
    experiment: Experiment = validate(Experiment, mapping, str(path))
    return experiment


__all__ = [
    "AnalyseExperiment",
    "EvaluateExperiment",
    "Experiment",
    "ImportExperiment",
    "LaunchConfig",
    "MatchExperiment",
    "PrepareExperiment",
    "PretrainExperiment",
    "RetrieveExperiment",
    "SearchExperiment",
    "StorageConfig",
    "StudyExperiment",
    "TeacherExperiment",
    "TransferExperiment",
    "load",
]
