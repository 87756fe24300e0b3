"""Which class names a pretraining has read as words: what "zero-shot" is worth there."""

import re
from collections.abc import Iterable

from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.paradigms import ReconParadigmConfig
from pointlab.storage import Storage


def seen_among(class_names: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The names that stand in one of the texts as whole words.

    In doubt rather one too many: in any case, also in the plural, with a space, hyphen, underscore or nothing
    between their parts.
    """
    read = "\n".join(texts)
    return [name for name in class_names if re.search(_whole_words(name), read, re.IGNORECASE)]


def note_on_class_words(
    pretrained: PretrainExperiment, prepared: str, storage: Storage, class_names: tuple[str, ...]
) -> str:
    """Which of the names were read, and where, by a pretraining on the set `prepared`; and which were not."""
    data = open_data(storage, prepared, pretrained.num_points)
    assert isinstance(pretrained.paradigm, ReconParadigmConfig), "checked when the model was made"
    if pretrained.paradigm.text == "class_names":
        where, texts = "class names", list(data.manifest.class_names)
    else:
        where, texts = "captions", list(data.split("train").caption_texts.values())
    seen = seen_among(class_names, texts)
    unseen = [name for name in class_names if name not in seen]
    told = f"{len(seen)} of {len(class_names)} were read in the {where} of the pretraining"
    return told + _listed(": ", seen) + _listed("; not read in these words: ", unseen)


def _whole_words(name: str) -> str:
    parts = map(re.escape, re.split(r"[\s_-]+", name))
    return r"(?<![^\W_])" + r"[\s_-]*".join(parts) + r"(?:e?s)?(?![^\W_])"


def _listed(before: str, names: list[str]) -> str:
    return before + ", ".join(names) if names else ""
