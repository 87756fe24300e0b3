"""The protocol `zero_shot`: a classifier from a pretrained ReCon and a text tower, without any training.

It is a backbone with a head like every other, so that all that measures classifiers measures it too.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones.recon import QueryName, ReconConfig
from pointlab.errors import ConfigError
from pointlab.evaluation import FeatureTable
from pointlab.experiment.class_words import note_on_class_words
from pointlab.experiment.frozen import left_behind
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.reading_texts import is_one_space, read_projection, teacher_of_pretraining
from pointlab.experiment.resolve import Findings
from pointlab.experiment.transfer_settings import OR_SET_RATIO
from pointlab.experiment.transfer_task import TransferTask
from pointlab.objectives.templates import TEMPLATES, prompts_of
from pointlab.teachers import cached_text_features
from pointlab.transfer import ZeroShotConfig, ZeroShotHead
from pointlab.transfer.zero_shot import choose_ratio, folded, summed_bank

ALONE = "without effect: no image query was taught in the space of the texts; the text query answers alone"


@dataclass(frozen=True)
class Parts:
    """What a head is folded of: projections of queries into the space of the texts, and the texts."""

    projections: Mapping[QueryName, nn.Linear]
    queries: tuple[QueryName, ...]
    """Those of the backbone, in their order in its pooled feature."""
    bank: Float[Tensor, "classes width"]

    @property
    def has_image(self) -> bool:
        """Whether there is a ratio between two queries at all."""
        return "image" in self.projections

    def head(self, ratio: float) -> ZeroShotHead:
        """The head at this ratio."""
        return ZeroShotHead(folded(self.projections, self.queries, ratio), self.bank)


@dataclass(frozen=True)
class Choice:
    """A ratio, and the validation accuracies by which it was chosen, if it was."""

    ratio: float
    accuracy: Mapping[float, float]


def zero_shot(task: TransferTask) -> Findings:
    """Build the classifier, its ratio chosen on validation where none is set, and store it."""
    started = time.perf_counter()
    config, projections = task.experiment.zero_shot, read_projections(task)
    if "image" in projections and config.ratio is None:  # of an import, only its file has told
        task.target.require_validation("The protocol zero_shot", otherwise=OR_SET_RATIO)
    parts = _parts(task, projections)
    backbone = task.frozen_start()
    validation = task.validation_features(backbone)
    choice = _choose(config, parts, validation)
    findings = left_behind(task, backbone, parts.head(choice.ratio), validation)
    findings.metrics.update({"selection/ratio": choice.ratio} if choice.accuracy else {})
    findings.notes.update(_notes(task, parts, choice))
    return replace(findings, device_seconds=time.perf_counter() - started)


def read_projections(task: TransferTask) -> dict[QueryName, nn.Linear]:
    """Those of the pretraining that lead into the space of the texts: of the text query, perhaps of the image
    query. Raises ConfigError where the first is not there."""
    storage, run = task.context.storage, task.resolved.parents["pretrained"]
    text, image = (read_projection(storage, run, query) for query in ("text", "image"))
    if text is None:
        raise ConfigError(
            f"The model of {run} has no projection of its text query.",
            expected="a text_projection, as ReCon's pretraining leaves one",
            remedy="import the file of a pretraining, not one that was fine-tuned",
        )
    is_of_texts = image is not None and _is_of_texts(task, image, text.out_features)
    return {"text": text, "image": image} if image is not None and is_of_texts else {"text": text}


def _parts(task: TransferTask, projections: Mapping[QueryName, nn.Linear]) -> Parts:
    """The projections, and the bank of what the pretraining's text teacher says of the target's classes.

    Raises ConfigError where the teacher is not the one that the pretraining learned from, as far as that is
    known, or says something of another width.
    """
    architecture = task.experiment.architecture
    assert isinstance(architecture, ReconConfig), "checked when the model was made"
    bank = _bank(task, teacher_of_pretraining(task.resolved, "text_teacher", task.context.storage))
    width = projections["text"].out_features
    if bank.shape[1] != width:
        raise ConfigError(
            f"The text_teacher says {bank.shape[1]} numbers of a text.",
            expected=f"{width}, to which the text query of {task.resolved.parents['pretrained']} leads",
            remedy="give the text_teacher that this pretraining learned from",
        )
    return Parts(projections, architecture.queries, bank)


def _bank(task: TransferTask, folder: Path) -> Float[Tensor, "classes width"]:
    names, templates = task.target.manifest.class_names, task.experiment.zero_shot.templates
    prompts = [prompt for name in names for prompt in prompts_of(name, templates)]
    features = cached_text_features(folder, prompts, task.context.device)
    return summed_bank(features.unflatten(0, (len(names), -1)))


def _is_of_texts(task: TransferTask, image: nn.Linear, width: int) -> bool:
    """Whether the image query was taught in the space of the texts; of an import the width alone tells."""
    if isinstance(task.experiment.pretrained, PretrainExperiment):
        return is_one_space(task.context.storage, task.resolved.parents["pretrained"])
    return image.out_features == width


def _choose(config: ZeroShotConfig, parts: Parts, validation: FeatureTable | None) -> Choice:
    if not parts.has_image:
        return Choice(1.0, {})
    if config.ratio is not None:
        return Choice(config.ratio, {})
    assert validation is not None, "required where a ratio is to be chosen"
    validation.require_labels("A zero-shot classifier")
    return Choice(*choose_ratio({each: parts.head(each) for each in config.ratios}, validation))


def _notes(task: TransferTask, parts: Parts, choice: Choice) -> dict[str, str]:
    templates = task.experiment.zero_shot.templates
    num_classes = task.target.num_classes
    return {
        "by chance": f"{1 / num_classes:.1%}, one of {num_classes} classes",
        "prompts": f"{len(TEMPLATES[templates])} of the set {templates} for each class",
        "ratio": _on_the_ratio(parts, choice),
        "class words": _on_class_words(task),
    }


def _on_the_ratio(parts: Parts, choice: Choice) -> str:
    if not parts.has_image:
        return ALONE
    if not choice.accuracy:
        return f"{choice.ratio:g}, as set"
    tried = ", ".join(f"{ratio:g}: {accuracy:.1%}" for ratio, accuracy in choice.accuracy.items())
    return f"{choice.ratio:g}, the best on validation (the largest of equals): {tried}"


def _on_class_words(task: TransferTask) -> str:
    pretrained = task.experiment.pretrained
    if not isinstance(pretrained, PretrainExperiment):
        return "not known: what an imported network has read is not told by its file"
    names = task.target.manifest.class_names
    return note_on_class_words(pretrained, task.resolved.datasets["pretrained"], task.context.storage, names)
