"""Teachers that somebody else trained: looked at before anything long begins."""

from collections.abc import Iterator
from typing import Any

from pointlab.experiment import PretrainExperiment, SearchExperiment, StudyExperiment
from pointlab.experiment.lineage import parents_of
from pointlab.experiment.teacher import TeacherFolder
from pointlab.teachers import find_folder, require_hash


def require_teachers(experiment: Any) -> None:
    """Return if each folder of a teacher that `experiment` or its lineage names holds the weights it means.

    DataError for one that is not there or holds others; asked before a set is prepared, which may take long.
    """
    for source in dict.fromkeys(_folders(experiment)):
        require_hash(find_folder(source.path), source.sha256)


def _folders(experiment: Any) -> Iterator[TeacherFolder]:
    """The folders in an experiment and all that it starts from; some perhaps more than once."""
    if isinstance(experiment, StudyExperiment):
        for cell in experiment.cells:
            yield from _folders(cell.experiment)
    if isinstance(experiment, SearchExperiment):
        yield from _folders(experiment.transfer)
    if isinstance(experiment, PretrainExperiment) and isinstance(experiment.teacher, TeacherFolder):
        yield experiment.teacher
    for parent in parents_of(experiment).values():
        yield from _folders(parent)
