"""Teachers that somebody else trained: looked at before anything long begins."""

from collections.abc import Iterator
from typing import Any

from pointlab.experiment import PretrainExperiment, RetrieveExperiment, TransferExperiment
from pointlab.experiment.teacher import TeacherFolder
from pointlab.launch.lineage import everything_in
from pointlab.teachers import find_folder, require_hash
from pointlab.teachers.families import FAMILIES, IMAGE_ENCODERS, TEXT_ENCODERS
from pointlab.teachers.folders import require_type
from pointlab.teachers.image_teacher import require_preparation
from pointlab.teachers.text_teacher import require_tokenizer

KINDS = {"teacher": tuple(FAMILIES), "image_teacher": tuple(IMAGE_ENCODERS), "text_teacher": TEXT_ENCODERS}
"""By the field of an experiment: the types of networks that it takes."""
BESIDE_WEIGHTS = {"image_teacher": require_preparation, "text_teacher": require_tokenizer}
"""What such a folder holds beside its network, where features are learned from."""


def require_teachers(experiment: Any) -> None:
    """Return if each folder of a teacher that `experiment` or its lineage names can be what it is for.

    DataError for one that is not there, holds other weights than are meant or a network of another kind, or
    does not tell how pictures or texts are prepared; asked before a set is prepared, which may take long.
    """
    for source, role in dict.fromkeys(_folders(experiment)):
        folder = find_folder(source.path)
        require_hash(folder, source.sha256)
        require_type(folder, KINDS[role])
        if role in BESIDE_WEIGHTS:
            BESIDE_WEIGHTS[role](folder)


def _folders(experiment: Any) -> Iterator[tuple[TeacherFolder, str]]:
    """The folders in an experiment and all that it starts from, and what for; some perhaps more than once."""
    for each in everything_in(experiment):
        if isinstance(each, PretrainExperiment | TransferExperiment | RetrieveExperiment):
            named = {role: getattr(each, role, None) for role in KINDS}
            yield from ((source, role) for role, source in named.items() if isinstance(source, TeacherFolder))
