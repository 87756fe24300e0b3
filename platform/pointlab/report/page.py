"""The page: all sections rendered into one file that needs no network and no server."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pointlab.experiment.matched import MAX_POINTS as MOST_POINTS
from pointlab.report.analysis import analysis_sections
from pointlab.report.answer import answers
from pointlab.report.coefficients import coefficient_sections
from pointlab.report.collect import collect
from pointlab.report.corruptions import corruption_comparisons, corruption_tables
from pointlab.report.few_shot import few_shot_sections
from pointlab.report.figures import CHOSEN, TARGET
from pointlab.report.gallery import SetViews, build_gallery
from pointlab.report.matching import SIMILARITIES, matching_sections
from pointlab.report.mistakes import mistake_sections
from pointlab.report.pareto import study_planes
from pointlab.report.provenance import provenance
from pointlab.report.rebuilt import rebuilt_section
from pointlab.report.rendering import render
from pointlab.report.results import result_tables
from pointlab.report.retrieval import retrieval_sections
from pointlab.report.runs import anchors_of, run_rows
from pointlab.report.scenes import scene
from pointlab.report.segmentation import segmentation_sections
from pointlab.report.soups import soup_sections
from pointlab.report.stages import stage_sections
from pointlab.report.study import study_sections
from pointlab.report.thumbnails import thumbnail
from pointlab.report.training_curves import training_pictures
from pointlab.report.trials import trial_tables
from pointlab.report.views import MAX_POINTS, legend_of
from pointlab.storage import Storage


@dataclass(frozen=True)
class Row:
    """A set in the gallery: its scene, and a thumbnail per class."""

    views: SetViews
    scene: Markup
    thumbnails: tuple[Markup | None, ...]


def build_report(storage: Storage, runs: Sequence[str]) -> str:
    """One self-contained HTML page on these finished runs and their parents.

    It depends on the store alone: the same records give the same page. Of the data it reads validation
    splits, never a test split: what is shown of one was stored with the run that read it. Raises
    StorageError for a run that has no record.
    """
    material = collect(storage, runs)
    gallery = build_gallery(storage, material)
    return render(
        "page.html.jinja",
        anchors=anchors_of(material),
        answers=answers(material),
        runs=run_rows(material),
        coefficients=coefficient_sections(material),
        soups=soup_sections(material),
        stages=stage_sections(material),
        few_shots=few_shot_sections(material),
        training=training_pictures(material),
        searches=trial_tables(material),
        gallery=gallery,
        sets=[_row(views, number, gallery.classes) for number, views in enumerate(gallery.sets)],
        legends=[legend_of(views) for views in zip(*(one.views for one in gallery.sets), strict=True)],
        rebuilt=rebuilt_section(storage, material),
        results=result_tables(material),
        segmentations=segmentation_sections(storage, material),
        comparisons=corruption_comparisons(material),
        corruptions=corruption_tables(material),
        mistakes=mistake_sections(storage, material),
        analyses=analysis_sections(material),
        retrievals=retrieval_sections(storage, material),
        matchings=matching_sections(storage, material),
        similarities=SIMILARITIES,
        most_points=f"{MOST_POINTS:,}",
        studies=study_sections(material),
        provenance=provenance(material),
        planes=study_planes(material),
        colours={"finished": TARGET, "chosen": CHOSEN},
        max_points=MAX_POINTS,
    )


def _row(views: SetViews, number: int, classes: tuple[str, ...]) -> Row:
    drawings = tuple(
        None if view is None else thumbnail(view, f"{name}, {views.role}")
        for name, view in zip(classes, views.views, strict=True)
    )
    return Row(views, scene(views.views, number), drawings)
