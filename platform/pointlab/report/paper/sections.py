"""Every plot of a page, found in the sections that the page is made of."""

import dataclasses
from collections.abc import Iterator, Sequence

from pointlab.report.analysis import analysis_sections
from pointlab.report.coefficients import coefficient_sections
from pointlab.report.collect import Material
from pointlab.report.corruptions import corruption_comparisons
from pointlab.report.few_shot import few_shot_sections
from pointlab.report.figures import Picture
from pointlab.report.pareto import study_planes
from pointlab.report.segmentation import segmentation_sections
from pointlab.report.soups import soup_sections
from pointlab.report.stages import stage_sections
from pointlab.report.study import study_sections
from pointlab.report.training_curves import training_pictures
from pointlab.report.trials import trial_tables
from pointlab.storage import Record, Storage

SECTIONS = (
    study_sections,
    study_planes,
    analysis_sections,
    coefficient_sections,
    soup_sections,
    stage_sections,
    few_shot_sections,
    training_pictures,
    trial_tables,
    corruption_comparisons,
)
"""Those that have plots and are made of records alone."""


def pictures_of(storage: Storage, material: Material) -> list[tuple[str, Picture]]:
    """All plots of the page on `material`, in its order, each with what it is of, "" where its caption says
    that. Clouds to turn are no plots."""
    sections = [*(make(material) for make in SECTIONS), segmentation_sections(storage, material)]
    return list(_pictures_in(sections, ""))


def _pictures_in(section: object, heading: str) -> Iterator[tuple[str, Picture]]:
    """However deep in lists and dataclasses they lie, with the title nearest above them."""
    if isinstance(section, Picture):
        yield heading, section
        return
    parts: Sequence[object] = ()
    if isinstance(section, list | tuple):
        parts = section
    elif dataclasses.is_dataclass(section):
        parts = [getattr(section, field.name) for field in dataclasses.fields(section)]
    for part in parts:
        yield from _pictures_in(part, _heading(section) or heading)


def _heading(section: object) -> str:
    """The title of a section, or the run that it is of."""
    match section:
        case (str() as title, *_):
            return title
        case (Record() as trained, *_):
            return trained.run
    record = getattr(section, "record", None)
    return getattr(section, "title", "") or (record.run if isinstance(record, Record) else "")
