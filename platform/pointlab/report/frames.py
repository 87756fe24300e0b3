"""Frames: a cloud's points drawn onto the picture that was taken of it, where its camera says they are.

An SVG holds the picture's own file and, over it, a dot for every point: one that sits beside its surface
shows a pose, a camera or a frame of reference that is wrong.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from markupsafe import Markup

from pointlab.data.sample import Cloud, Picture, View
from pointlab.geometry.cameras import is_inside, project
from pointlab.report.views import HEIGHTS, part_colours, part_name
from pointlab.report.wording import GAP

MAX_DOTS = 3000
"""Points drawn of a cloud: the dots of more would hide the picture."""
DOTS_ACROSS = 170
"""Dots that would fit side by side into the width of a picture."""


@dataclass(frozen=True)
class Frame:
    """A picture with its points, how many of those shown it has, and what their colours mean."""

    drawing: Markup
    caption: str
    legend: tuple[tuple[str, str], ...]


def draw_frame(cloud: Cloud, view: View, part_names: Sequence[str], description: str) -> Frame | None:
    """`cloud` over what `view` saw of it, colour before depth; None where the view holds no picture.

    A colour picture whose camera is unknown (NaN) is shown without points. Dots are coloured by part where
    points are labelled, else by depth, and near ones cover far ones.
    """
    picture = view.colour or view.depth
    if picture is None:
        return None
    if not picture.has_camera:
        caption = "its camera is unknown: no points are shown in it"
        return Frame(_drawing(picture, view, Markup(""), description), caption, ()) if view.colour else None
    points = cloud.points[:MAX_DOTS]
    pixels, depths, inside = _seen_by(points, picture)
    order = np.flatnonzero(inside)[np.argsort(-depths[inside])]
    colours, shades = _colours(cloud, depths, order, part_names)
    dots = _dots(pixels[order], colours, shades, picture.camera.width / DOTS_ACROSS)
    caption = f"{len(order):,} of {len(points):,} points in the picture"
    if len(order):
        caption += f", {depths[order].min():.2f} to {depths[order].max():.2f}{GAP}away"
    return Frame(_drawing(picture, view, dots, description), caption, _legend(cloud, colours, part_names))


def _seen_by(
    points: Float[np.ndarray, "points 3"], picture: Picture
) -> tuple[Float64[np.ndarray, "points 2"], Float64[np.ndarray, " points"], Bool[np.ndarray, " points"]]:
    """Pixels and depths of the points, and which of them lie in the picture; none counts as hidden."""
    wide = torch.from_numpy(points.astype(np.float64))
    pixels, depths = project(wide, picture.camera, torch.from_numpy(picture.pose))
    return pixels.numpy(), depths.numpy(), is_inside(pixels, depths, picture.camera).numpy()


def _colours(
    cloud: Cloud, depths: Float64[np.ndarray, " points"], order: np.ndarray, part_names: Sequence[str]
) -> tuple[tuple[str, ...], Int64[np.ndarray, " dots"]]:
    """The colours of a frame, and which of them each dot has."""
    if cloud.point_labels is not None and part_names:
        names = [part_name(part, part_names) for part in _all_parts(cloud.point_labels, part_names)]
        by_name = part_colours(names)
        return tuple(by_name[name] for name in names), cloud.point_labels[order]
    borders = np.quantile(depths[order], np.linspace(0, 1, len(HEIGHTS) + 1)[1:-1]) if len(order) else []
    return HEIGHTS[::-1], np.digitize(depths[order], borders)


def _legend(cloud: Cloud, colours: tuple[str, ...], part_names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if cloud.point_labels is None or not part_names:
        return (("near", colours[0]), ("far", colours[-1]))
    present = np.unique(cloud.point_labels[:MAX_DOTS])
    return tuple((part_name(part, part_names), colours[part]) for part in present.tolist() if part >= 0)


def _all_parts(point_labels: Int64[np.ndarray, " points"], part_names: Sequence[str]) -> range:
    """Labels of all parts: those that have names, and those that the points have beyond these."""
    return range(max(len(part_names), int(point_labels.max(initial=-1)) + 1))


def _dots(
    pixels: Float64[np.ndarray, "dots 2"],
    colours: Sequence[str],
    shades: Int64[np.ndarray, " dots"],
    width: float,
) -> Markup:
    """Paths of dots, a run of equal colours each, so that what was sorted by depth stays so."""
    starts = np.flatnonzero(np.diff(shades, prepend=-2))
    paths = []
    for first, last in zip(starts, [*starts[1:], len(shades)], strict=True):
        if shades[first] < 0:
            continue  # a point without a label has no colour
        steps = "".join(f"M{column:.0f} {row:.0f}h0" for column, row in pixels[first:last])
        paths.append(Markup('<path stroke="{}" d="{}"/>').format(colours[shades[first]], steps))
    return Markup('<g class="dots" stroke-width="{:.2f}">{}</g>').format(width, Markup("").join(paths))


def _drawing(picture: Picture, view: View, dots: Markup, description: str) -> Markup:
    width, height = picture.camera.width, picture.camera.height
    image = Markup("")
    if view.colour is not None:
        kind = "png" if picture.content.startswith(b"\x89PNG") else "jpeg"
        content = base64.b64encode(picture.content).decode()
        image = Markup(
            '<image x="-0.5" y="-0.5" width="{}" height="{}" preserveAspectRatio="none"'
            ' href="data:image/{};base64,{}"/>'
        ).format(width, height, kind, content)
    return Markup('<svg viewBox="-0.5 -0.5 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        width, height, description, image, dots
    )
