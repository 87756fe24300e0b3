"""Teachers that somebody else trained: looked at before anything long begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointlab.experiment import PretrainExperiment, RetrieveExperiment, TransferExperiment
from pointlab.experiment.teacher import TeacherFolder
from pointlab.launch.lineage import everything_in
from pointlab.teachers import find_folder, require_hash
from pointlab.teachers.families import FAMILIES, IMAGE_ENCODERS, TEXT_ENCODERS
from pointlab.teachers.folders import require_type
from pointlab.teachers.image_teacher import require_preparation
from pointlab.teachers.patches import require_patches
from pointlab.teachers.text_teacher import require_tokenizer

KINDS = {"teacher": tuple(FAMILIES), "image_teacher": tuple(IMAGE_ENCODERS), "text_teacher": TEXT_ENCODERS}
"""By the field of an experiment: the types of networks that it takes."""
BESIDE_WEIGHTS = {"image_teacher": require_preparation, "text_teacher": require_tokenizer}
"""What such a folder holds beside its network, where features are learned from."""


def require_teachers(experiment: Any) -> None:
    """Return if each folder of a teacher that `experiment` or its lineage names can be what it is for.

    Asked before a set is prepared, which may take long; raises as `require_folder` does.
    """
    for asked in folders_in(experiment):
        require_folder(asked)


@dataclass(frozen=True)
class AskedFolder:
    """A folder of a teacher, the field that names it, and the size of the pictures of which it gives maps."""

    source: TeacherFolder
    role: str
    picture_size: tuple[int, int] | None


def require_folder(asked: AskedFolder) -> None:
    """Return if the folder can be what it is for.

    DataError for one that is not there, holds other weights than are meant or a network of another kind, or
    does not tell how pictures or texts are prepared; ConfigError for pictures of a size that it cannot take.
    """
    folder = find_folder(asked.source.path)
    require_hash(folder, asked.source.sha256)
    require_type(folder, KINDS[asked.role])
    if asked.role in BESIDE_WEIGHTS:
        BESIDE_WEIGHTS[asked.role](folder)
    if asked.picture_size is not None:
        require_patches(folder, asked.picture_size)


def folders_in(experiment: Any) -> tuple[AskedFolder, ...]:
    """The folders in an experiment and all that it starts from, each once for each field and size."""
    return tuple(dict.fromkeys(_folders(experiment)))


def _folders(experiment: Any) -> Iterator[AskedFolder]:
    for each in everything_in(experiment):
        if isinstance(each, PretrainExperiment | TransferExperiment | RetrieveExperiment):
            size = getattr(getattr(each, "paradigm", None), "picture_size", None)
            for role in KINDS:
                source = getattr(each, role, None)
                if isinstance(source, TeacherFolder):
                    yield AskedFolder(source, role, size)
