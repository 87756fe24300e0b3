"""What a ReCon was taught by, read again where it is put to use: its teachers' folders, its projections.

For experiments with a field `pretrained` and fields of teachers named as those of a pretraining, which an
import cannot do without, as no checkpoint tells what it learned from.
"""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from pointlab.errors import ConfigError
from pointlab.experiment.finished_teachers import difference, folder_of, hashes_of
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import model_manifest, read_module
from pointlab.storage import Storage, read_record
from pointlab.training.checkpoint import load_weights

TeacherRole = Literal["image_teacher", "text_teacher"]
QueryOfTeacher = Literal["image", "text"]


def teacher_of_pretraining(resolved: Resolved[Any], role: TeacherRole, storage: Storage) -> Path:
    """The folder of the network that `pretrained` learned from in this role: the one that the experiment
    names itself, or that of the pretraining.

    Raises ConfigError where neither names one, or where it is not the one that the pretraining learned from;
    StorageError and DataError as `folder_of` does.
    """
    experiment, parents = resolved.experiment, resolved.parents
    source, run = getattr(experiment, role, None), parents.get(role)
    pretrained = experiment.pretrained
    if source is None and isinstance(pretrained, PretrainExperiment):
        record = read_record(storage, parents["pretrained"])
        assert record is not None, "a parent is finished before its children"
        source, run = getattr(pretrained, role), record.parents.get(role)
    if source is None:
        raise ConfigError(
            f"{pretrained.name} names no {role}, and neither does {experiment.name}.",
            expected=f"the network that {pretrained.name} learned from",
            remedy=f"set {role} in {experiment.name}, to a kind teacher or folder",
        )
    then = model_manifest(storage, parents["pretrained"]).details.get(role)
    differing = then and difference(then, hashes_of(source, run, storage))
    if differing:
        found, expected = differing
        raise ConfigError(
            f"The {role} of {experiment.name} has {found}.",
            expected=f"{expected}, from which {pretrained.name} learned",
            remedy=f"leave {role} out of {experiment.name}, or bring that teacher back",
        )
    return folder_of(source, run, storage)


def is_one_space(storage: Storage, run: str) -> bool:
    """Whether the pictures and texts that the pretraining `run` learned from were said by the same towers."""
    details = model_manifest(storage, run).details
    roles = ("image_teacher", "text_teacher")
    return all(role in details for role in roles) and difference(*(details[role] for role in roles)) is None


def read_projection(storage: Storage, run: str, query: QueryOfTeacher) -> nn.Linear | None:
    """The layer that leads a query to the features of its teacher; None where `run` has stored none."""
    name = f"{query}_projection"
    if f"{name}.safetensors" not in model_manifest(storage, run).files:
        return None
    weights: dict[str, Tensor] = read_module(storage, run, name)
    num_features, width = weights["weight"].shape
    layer = nn.Linear(width, num_features)
    load_weights(layer, weights)
    return layer.requires_grad_(False)
