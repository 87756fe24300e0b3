"""Colours of parts are the same in every section of a page."""

import numpy as np

from pointlab.report.views import CLUTTER, PARTS, RECEDING, LabelledCloud, part_colours, view_together

CLOUD = np.array([[0, 1, 0], [0, -1, 0]], np.float32)
ROOM = ("wall", "floor", "chair", "table")


def test_a_part_has_its_colour_whatever_else_is_in_the_view() -> None:
    (scene,) = view_together([LabelledCloud(CLOUD, ("table", "wall"))], ROOM)
    (other,) = view_together([LabelledCloud(CLOUD, ("floor", "table"))], ROOM)
    assert scene is not None
    assert other is not None
    colours = dict(zip(scene.parts, scene.colours, strict=True))
    assert colours["table"] == dict(zip(other.parts, other.colours, strict=True))["table"]
    assert colours == {part: part_colours(ROOM)[part] for part in ("wall", "table")}


def test_a_view_tells_of_the_parts_alone_that_it_shows() -> None:
    (scene,) = view_together([LabelledCloud(CLOUD, ("table", "wall"))], ROOM)
    assert scene is not None
    assert scene.parts == ("wall", "table")
    assert [scene.parts[shade] for shade in scene.shades] == ["table", "wall"]


def test_parts_of_every_category_begin_with_the_clearest_colours() -> None:
    many = [f"object-{number}/part-{part}" for number in range(10) for part in range(3)]
    colours = part_colours([*many, CLUTTER])
    assert {colours[f"object-{number}/part-0"] for number in range(10)} == {PARTS[0]}
    assert {colours[f"object-9/part-{part}"] for part in range(3)} == set(PARTS[:3])
    assert list(colours.items())[-1] == (CLUTTER, RECEDING)
