"""Every matching on the page: its figures beside chance, and frames whose pixels can be clicked.

The page holds what the network says of the points and of the cells of each frame, in 8 bits, and computes
cosines itself (`matching.js`): it answers for every pixel, not for a few that were chosen.
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt16

from pointlab.data.correspondence import UNSEEN
from pointlab.experiment.matched import ShownFrame, read_frames
from pointlab.report.collect import Material
from pointlab.report.matching_findings import (
    DIRECTIONS,
    HEADLINE,
    bounds_of,
    measured,
    measures_of,
    told,
    unit_of,
    value_of,
)
from pointlab.report.views import part_colours, part_name
from pointlab.report.wording import percent
from pointlab.storage import Record, Storage

SIMILARITIES = ("#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#fde725")
"""From the lowest to the highest: viridis but for its darkest part; its lightness tells what its hue does, so
nobody who sees colours otherwise reads it otherwise."""
UNLABELLED = "#88919d"
STEEPEST = 1.2
"""Radians that a first view looks down or up at most."""


@dataclass(frozen=True)
class FigureRow:
    """One measure in one direction, in words."""

    title: str
    measure: str
    value: str
    interval: str
    chance: str


@dataclass(frozen=True)
class FrameView:
    """A frame: its picture as the page's own, what is told of it, and the numbers for the script."""

    title: str
    told: str
    picture: str
    numbers: dict[str, Any]
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatchingSection:
    """One matching: its figures and its frames, the best first."""

    record: Record
    figures: tuple[FigureRow, ...]
    frames: tuple[FrameView, ...]
    intervals: str
    num_frames: str

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """What its points may be coloured by: value and name of each."""
        has_colours = any("colours" in frame.numbers for frame in self.frames)
        has_parts = any(frame.parts for frame in self.frames)
        own = (("own", "own colours"),) if has_colours else ()
        return (("similarity", "similarity"), *own, *((("parts", "part labels"),) if has_parts else ()))


def matching_sections(storage: Storage, material: Material) -> list[MatchingSection]:
    """A section for every matching among the page's records."""
    return [_section(storage, material, record) for record in material.records if record.kind == "match"]


def _section(storage: Storage, material: Material, record: Record) -> MatchingSection:
    shown = read_frames(storage, record.run)
    rows = sorted(record.curves["frames"], key=lambda row: float(row[HEADLINE]))
    unit, part_names = unit_of(record), _part_names(material, record)
    return MatchingSection(
        record=record,
        figures=tuple(_figure(record, direction, name, unit) for direction, name in measured(record)),
        frames=tuple(
            _frame(row, shown[str(row["id"])], part_names, unit) for row in rows if row["id"] in shown
        ),
        intervals=record.notes["intervals"],
        num_frames=f"{len(rows):,}",
    )


def _part_names(material: Material, record: Record) -> tuple[str, ...]:
    manifest = material.datasets.get(record.datasets["data"])
    return () if manifest is None else tuple(manifest.part_names)


def _figure(record: Record, direction: str, name: str, unit: str) -> FigureRow:
    bounds = bounds_of(record, direction, name)
    return FigureRow(
        title=DIRECTIONS[direction],
        measure=measures_of(name, direction, unit),
        value=told(name, value_of(record, direction, name), direction, unit),
        interval=" to ".join(told(name, bound, direction, unit) for bound in bounds),
        chance=told(name, value_of(record, direction, f"chance/{name}"), direction, unit),
    )


def _frame(row: dict[str, Any], frame: ShownFrame, part_names: tuple[str, ...], unit: str) -> FrameView:
    parts, labels = _parts(frame, part_names)
    numbers: dict[str, Any] = {
        "size": frame.size.tolist(),
        "rows": frame.cells.shape[0],
        "columns": frame.cells.shape[1],
        "width": frame.cells.shape[2],
        "sampling": frame.sampling.tolist(),
        "start": frame.start.tolist(),
        "view": _first_view(frame),
        "unit": unit,
        "parts": parts,
        "labels": None if labels is None else _base64(labels),
        **{
            name: _base64(getattr(frame, name))
            for name in ("points", "pixels", "features", "cells", "scales")
        },
    }
    if frame.colours is not None:
        numbers["colours"] = _base64(frame.colours)
    distance, share = float(row[HEADLINE]), percent(float(row["pixel_to_point/recall_at_10"]))
    return FrameView(
        title=str(row["id"]),
        told=f"median distance {distance:.2f}{unit}; the right point among the first ten for {share}",
        picture=base64.b64encode(frame.picture).decode(),
        numbers=numbers,
        parts=tuple(parts),
    )


def _parts(
    frame: ShownFrame, part_names: tuple[str, ...]
) -> tuple[list[tuple[str, str]], UInt16[np.ndarray, " points"] | None]:
    """Name and colour of each part in the frame, and for each point which of them it is of."""
    if frame.labels is None:
        return [], None
    present, labels = np.unique(frame.labels, return_inverse=True)
    every = range(max(len(part_names), int(present.max()) + 1))
    colours = part_colours(part_name(part, part_names) for part in every)
    names = [part_name(int(part), part_names) for part in present]
    return [(name, colours.get(name, UNLABELLED)) for name in names], labels.reshape(-1).astype(np.uint16)


def _first_view(frame: ShownFrame) -> dict[str, float]:
    """Yaw and pitch, in radians, of an eye that stands about where the picture was taken from.

    By least squares, column and row as linear functions of place: their gradients point to the right and down
    the picture. That needs no camera, and is as good as a first glance has to be.
    """
    is_seen = frame.pixels[:, 0] > UNSEEN
    places = frame.points[is_seen].astype(np.float64)
    right, down = _gradients(places - places.mean(0), frame.pixels[is_seen].astype(np.float64))
    x, y, z = np.cross(down, right)  # towards the eye
    length = float(np.linalg.norm((x, y, z))) or 1.0
    pitch = float(np.arcsin(np.clip(y / length, -1, 1)))
    return {"yaw": float(np.arctan2(x, z)), "pitch": float(np.clip(pitch, -STEEPEST, STEEPEST))}


def _gradients(
    places: Float[np.ndarray, "points 3"], pixels: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "2 3"]:
    """Of column and of row; each of unit length where it is not zero."""
    solution = np.linalg.lstsq(places, pixels - pixels.mean(0), rcond=None)[0].T
    lengths = np.linalg.norm(solution, axis=1, keepdims=True)
    unit: Float[np.ndarray, "2 3"] = solution / np.where(lengths == 0, 1, lengths)
    return unit


def _base64(array: Shaped[np.ndarray, "..."]) -> str:
    """The bytes of an array, little-endian, as text."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
