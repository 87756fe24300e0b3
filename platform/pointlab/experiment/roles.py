"""Which other networks a paradigm learns from: the fields of a pretraining that name them."""

from collections.abc import Mapping
from typing import Any

from pointlab.experiment.teacher import RandomTeacher, TeacherExperiment, TeacherFolder
from pointlab.paradigms import ParadigmConfig, PpktConfig, ReconParadigmConfig

LEARNS_FROM: dict[str, dict[str, str | None]] = {
    "act_autoencoder": {"teacher": None},
    "act": {"latents": None},
    "recon": {"image_teacher": "image_weight", "text_teacher": "text_weight"},
    "ppkt": {"image_teacher": None},
}
"""By paradigm: the fields that it needs beside it and that no other one may have, each with the weight of the
loss that it is for, where it may be zero and the field then left out."""
WANTED = {
    "teacher": "a network of pictures or words (kind teacher, folder or random)",
    "latents": "a stage I (a pretraining with paradigm.kind act_autoencoder)",
    "image_teacher": "a network that sees pictures (kind teacher or folder)",
    "text_teacher": "a network that reads (two towers, kind teacher or folder)",
}
ABLE = {
    "teacher": (("vit", "clip"), "has no transformer blocks"),
    "text_teacher": (("clip",), "does not read"),
}
"""By field: the kinds of networks that can teach, of those that are trained here, and why others cannot."""
PREPARED = "pictures are not augmented: the teacher's features of each were computed once and kept"
ON_THE_FLY = "pictures are augmented: the teacher's features were computed at every step"
CLASS_NAMES = "the name of each cloud's class: labels were seen in pretraining, as words"
CAPTIONS = "captions of the set: they may name the class, whose words were then seen in pretraining"
BY_LABELS = "clouds of one class were taken for equal: labels were seen in pretraining"
BY_CAPTIONS = f"clouds of one caption were taken for equal; {CAPTIONS}"
SAW_LABELS = "it learned the classes of its own pictures: what follows it has seen labels by way of it"
SAW_CAPTIONS = "it learned from captions of its own pictures, which may name classes"
SAW = {"vit": SAW_LABELS, "resnet": SAW_LABELS, "clip": SAW_CAPTIONS}
"""By the kind of a network that is trained here."""
SAW_UNKNOWN = "somebody else trained it: whether it learned classes is not known here"


def require_roles(paradigm: ParadigmConfig, given: Mapping[str, Any]) -> None:
    """ValueError where one of the fields in `given` (None: left out) is missing, or of no use."""
    weights = LEARNS_FROM.get(paradigm.kind, {})
    for role, value in given.items():
        weight = weights.get(role)
        is_used = role in weights and (weight is None or getattr(paradigm, weight) > 0)
        if is_used and value is None:
            otherwise = f", or paradigm.{weight} to 0" if weight else ""
            raise ValueError(
                f"paradigm {paradigm.kind} learns from {WANTED[role]}: set {role}, beside paradigm{otherwise}"
            )
        if not is_used and value is not None:
            raise ValueError(f"{role} is given, but {_no_use(paradigm.kind, role, weight)}")


def _no_use(kind: str, role: str, weight: str | None) -> str:
    if weight is not None:
        return f"paradigm.{weight} is 0: set {role} to null, or raise that weight"
    users = " or ".join(user for user, roles in LEARNS_FROM.items() if role in roles)
    return f"paradigm {kind} has no use for it: set {role} to null, or set paradigm.kind to {users}"


def require_able(given: Mapping[str, Any]) -> None:
    """ValueError for a network without what it is to teach with: blocks, features of pictures or of texts."""
    for role, (kinds, reason) in ABLE.items():
        source = given[role]
        if not isinstance(source, TeacherExperiment | RandomTeacher):
            continue
        if (kind := source.network.kind) not in kinds:
            raise ValueError(
                f"{role}.network is a {kind}, which {reason}: choose the kind {' or '.join(kinds)}"
            )


def notes_on(paradigm: ParadigmConfig, given: Mapping[str, Any]) -> dict[str, str]:
    """What a reader should know of how pictures and texts were learned of, and of the teachers in `given`."""
    notes = _notes_on_teachers(given)
    if isinstance(paradigm, PpktConfig):
        return notes | {"image features": ON_THE_FLY if paradigm.picture_augmentation else PREPARED}
    if not isinstance(paradigm, ReconParadigmConfig):
        return notes
    if paradigm.image_weight > 0:
        notes["image features"] = ON_THE_FLY if paradigm.image_augmentation else PREPARED
    if paradigm.text_weight > 0:
        notes["texts"] = CAPTIONS if paradigm.text == "captions" else CLASS_NAMES
    if paradigm.contrast_weight > 0:
        notes["contrast"] = BY_CAPTIONS if paradigm.text == "captions" else BY_LABELS
    return notes


def _notes_on_teachers(given: Mapping[str, Any]) -> dict[str, str]:
    notes: dict[str, str] = {}
    for role, source in given.items():
        if isinstance(source, TeacherExperiment):
            notes[role.replace("_", " ")] = SAW[source.network.kind]
        elif isinstance(source, TeacherFolder):
            notes[role.replace("_", " ")] = SAW_UNKNOWN
    return notes
