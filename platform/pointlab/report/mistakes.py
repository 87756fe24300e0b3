"""Mistakes of the page's classifiers: clouds that they were sure about and took for something else."""

from dataclasses import dataclass

from markupsafe import Markup

from pointlab.experiment.mistaken import Mistake, read_mistakes
from pointlab.report.collect import Material
from pointlab.report.results import group_by_seed
from pointlab.report.thumbnails import thumbnail
from pointlab.report.views import LabelledCloud, view_together
from pointlab.report.wording import percent
from pointlab.storage import Record, Storage


@dataclass(frozen=True)
class ShownMistake:
    """One cloud: its drawing, its class, the answer, and how sure of both."""

    drawing: Markup
    truth: str
    answer: str
    confidence: str
    left_for_truth: str


@dataclass(frozen=True)
class MistakeSection:
    """The mistakes of one run, the surest first."""

    record: Record
    told: str
    mistakes: tuple[ShownMistake, ...]
    confusions: tuple[tuple[str, str, str], ...]
    """Class, what it was taken for, and how often."""


def mistake_sections(storage: Storage, material: Material) -> list[MistakeSection]:
    """One for the first run of each group that was asked for, if it left mistakes to look at.

    A search has them of its test; one without test shows what its chosen trial has left, of validation.
    """
    found = []
    for group in group_by_seed(material.asked):
        section = _section(storage, group.records[0])
        if section is not None:
            found.append(section)
    return found


def _section(storage: Storage, record: Record) -> MistakeSection | None:
    shown = read_mistakes(storage, record.run)
    if shown is None and "chosen trial" in record.notes:
        shown = read_mistakes(storage, record.notes["chosen trial"])
    if shown is None:
        return None
    told = shown.told
    share = percent(told.num_wrong / told.num_clouds)
    kept = zip(told.surest, shown.clouds, strict=True)
    return MistakeSection(
        record,
        f"{told.num_wrong:,} of the {told.num_clouds:,} {told.split} clouds of {told.dataset} were taken for"
        f" another class ({share})" + (f"; the {len(told.surest)} surest:" if told.surest else "."),
        tuple(_shown(mistake, LabelledCloud(cloud, None)) for mistake, cloud in kept),
        tuple((each.truth, each.answer, f"{each.count:,}") for each in told.confusions),
    )


def _shown(mistake: Mistake, cloud: LabelledCloud) -> ShownMistake:
    (view,) = view_together([cloud])
    assert view is not None, "of a cloud that is there"
    confidence = percent(mistake.confidence)
    described = f"a cloud of {mistake.truth}, taken for {mistake.answer} with {confidence}"
    drawing = thumbnail(view, described)
    return ShownMistake(drawing, mistake.truth, mistake.answer, confidence, percent(mistake.left_for_truth))
