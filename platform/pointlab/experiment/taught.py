"""Whether a backbone has learned what texts say: what zero-shot classification cannot do without."""

from pointlab.config import StrictModel
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.roles import require_able
from pointlab.experiment.teacher import FinishedTeacher
from pointlab.paradigms import ReconParadigmConfig

ASKS = "protocol zero_shot asks a network that learned from texts, and pretrained is"
IN_A_STUDY = ", or, in a study, leave the pair out by exclude"
LAYOUTS_OF_RECON = ("recon_pretrain", "recon_classifier")
"""Of the released files that may hold projections; a classifier's do where it is zero-shot."""


def require_taught(pretrained: StrictModel | None, text_teacher: FinishedTeacher | None) -> None:
    """ValueError for a network whose text query learned nothing, or nobody knows from whom."""
    require_able({"teacher": None, "text_teacher": text_teacher})
    match pretrained:
        case None:
            raise ValueError(f"{ASKS} left out: expected a pretraining by recon; set pretrained{IN_A_STUDY}")
        case ImportExperiment():
            _require_taught_import(pretrained, text_teacher)
        case PretrainExperiment():
            _require_taught_here(pretrained)
        case _:
            raise ValueError(
                f"{ASKS} a transfer, which leaves no projections into the space of texts: expected a"
                f" pretraining by recon; set pretrained to one{IN_A_STUDY}"
            )


def _require_taught_import(pretrained: ImportExperiment, text_teacher: FinishedTeacher | None) -> None:
    if (layout := pretrained.contents.layout) not in LAYOUTS_OF_RECON:
        raise ValueError(
            f"{ASKS} an import of the layout {layout}: expected {' or '.join(LAYOUTS_OF_RECON)}; set"
            " pretrained.path to a checkpoint of ReCon's pretraining, or of its zero-shot classifier"
        )
    if text_teacher is None:
        raise ValueError(
            f"{ASKS} an import, whose file does not hold the towers that it learned from: expected a"
            " text_teacher beside pretrained; set it to their folder"
        )


def _require_taught_here(pretrained: PretrainExperiment) -> None:
    paradigm = pretrained.paradigm
    if isinstance(paradigm, ReconParadigmConfig) and paradigm.text_weight > 0:
        return
    weight = " with text_weight 0" if isinstance(paradigm, ReconParadigmConfig) else ""
    raise ValueError(
        f"{ASKS} a pretraining by {paradigm.kind}{weight}: expected recon with a text_teacher; set"
        f" pretrained.paradigm.kind to recon, and its text_weight above 0{IN_A_STUDY}"
    )
