"""The soup's curve: every average in the order of the recipe, hollow where it was given up."""

import json

from pointlab.report.collect import Material
from pointlab.report.soups import soup_sections
from pointlab.storage import Record

TRIED = (("1", "yes", 0.6), ("1, 0", "no", 0.5), ("1, 2", "yes", 0.7))


def test_what_was_kept_is_filled_and_the_last_kept_is_ringed() -> None:
    rows: list[dict[str, float | str]] = [
        {"members": members, "kept": kept, "target-validation/accuracy": accuracy}
        for members, kept, accuracy in TRIED
    ]
    record = Record(
        run="soup-0123456789-s0",
        kind="transfer",
        name="soup",
        seed=0,
        protocol="soup/greedy",
        config={},
        code_version="",
        curves={"soup": rows},
        notes={"recipe": "from the best on"},
    )
    (section,) = soup_sections(Material((record,), (record,), {}, {}))
    markup = section.picture.markup
    start = markup.index("[", markup.index("Plotly.newPlot("))
    line, ring = json.JSONDecoder().raw_decode(markup, start)[0]
    assert line["x"] == ["1", "1 + 0", "1 + 2"]
    assert line["y"] == [60, 50, 70]
    assert line["marker"]["symbol"] == ["circle", "circle-open", "circle"]
    assert (ring["x"], ring["y"]) == (["1 + 2"], [70])
    assert "from the best on" in section.picture.caption
