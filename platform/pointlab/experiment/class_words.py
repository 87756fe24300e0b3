"""Which class names a pretraining has read as words: what "zero-shot" is worth there."""

import re
from collections.abc import Iterable

from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.wiring import open_data
from pointlab.paradigms import ReconParadigmConfig
from pointlab.storage import Storage


def seen_among(class_names: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The names that stand in one of the texts as whole words, in any case; an underscore is a space."""
    read = "\n".join(texts).replace("_", " ")
    return [name for name in class_names if re.search(_whole_words(name), read, re.IGNORECASE)]


def note_on_class_words(
    pretrained: PretrainExperiment, prepared: str, storage: Storage, class_names: tuple[str, ...]
) -> str:
    """Which of the names were read, and where, by a pretraining on the set `prepared`; and which were not."""
    data = open_data(storage, prepared, pretrained.num_points)
    assert isinstance(pretrained.paradigm, ReconParadigmConfig), "checked when the model was made"
    if pretrained.paradigm.text == "prompts":
        where, texts = "prompts on its labels", list(data.manifest.class_names)
    else:
        where, texts = "captions", list(data.captions().values())
    seen = seen_among(class_names, texts)
    unseen = [name for name in class_names if name not in seen]
    told = f"{len(seen)} of {len(class_names)} were read in the {where} of the pretraining"
    return told + _listed(": ", seen) + _listed("; not read: ", unseen)


def _whole_words(name: str) -> str:
    return rf"(?<!\w){re.escape(name.replace('_', ' '))}(?!\w)"


def _listed(before: str, names: list[str]) -> str:
    return before + ", ".join(names) if names else ""
