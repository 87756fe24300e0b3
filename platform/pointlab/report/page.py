"""The page: all sections rendered into one file that needs no network and no server."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pointlab.report.answer import answers
from pointlab.report.coefficients import coefficient_pictures
from pointlab.report.collect import collect
from pointlab.report.figures import CHOSEN, TARGET
from pointlab.report.gallery import Gallery, SetViews, build_gallery
from pointlab.report.results import result_tables
from pointlab.report.runs import anchors_of, run_rows
from pointlab.report.scenes import scene
from pointlab.report.thumbnails import thumbnail
from pointlab.report.training_curves import training_pictures
from pointlab.report.trials import trial_tables
from pointlab.report.views import MAX_POINTS
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
    splits, never a test split. Raises StorageError for a run that has no record.
    """
    material = collect(storage, runs)
    gallery = build_gallery(storage, material)
    template = _environment().get_template("page.html.jinja")
    return template.render(
        plotly=Markup(get_plotlyjs()),
        anchors=anchors_of(material),
        answers=answers(material),
        runs=run_rows(material),
        coefficients=coefficient_pictures(material),
        training=training_pictures(material),
        searches=trial_tables(material),
        gallery=gallery,
        sets=[_row(views, number, gallery.classes) for number, views in enumerate(gallery.sets)],
        legends=_legends(gallery),
        results=result_tables(material),
        colours={"finished": TARGET, "chosen": CHOSEN},
        max_points=MAX_POINTS,
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pointlab.report", package_path=""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _row(views: SetViews, number: int, classes: tuple[str, ...]) -> Row:
    drawings = tuple(
        None if view is None else thumbnail(view, f"{name}, {views.role}")
        for name, view in zip(classes, views.views, strict=True)
    )
    return Row(views, scene(views, number), drawings)


def _legends(gallery: Gallery) -> list[list[tuple[str, str]]]:
    """For every class, the names of its parts with their colours."""
    legends = []
    for by_set in zip(*(views.views for views in gallery.sets), strict=True):
        parts = {
            part: colour
            for view in by_set
            if view is not None
            for part, colour in zip(view.parts, view.colours, strict=False)
        }
        legends.append([(part.rpartition("/")[2], colour) for part, colour in parts.items()])
    return legends
