"""The soup's curve: every average in the order of the recipe, hollow where it was given up."""

import json

import pytest

from pointlab.report.collect import Material
from pointlab.report.soups import soup_sections
from pointlab.storage import Record

TRIED = (("1", "yes", 0.6), ("1, 0", "no", 0.5), ("1, 2", "yes", 0.7))


def soup_of(*tried: tuple[str, str, float]) -> Record:
    rows: list[dict[str, float | str]] = [
        {
            "members": members,
            "num_members": float(len(members.split(", "))),
            "kept": kept,
            "score": accuracy,
            "target-validation/accuracy": accuracy,
        }
        for members, kept, accuracy in tried
    ]
    return Record(
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


def test_what_was_kept_is_filled_and_the_last_kept_is_ringed() -> None:
    record = soup_of(*TRIED)
    (section,) = soup_sections(Material((record,), (record,), {}, {}))
    markup = section.picture.markup
    start = markup.index("[", markup.index("Plotly.newPlot("))
    line, ring = json.JSONDecoder().raw_decode(markup, start)[0]
    assert line["x"] == ["1", "1 + 0", "1 + 2"]
    assert line["y"] == [60, 50, 70]
    assert line["marker"]["symbol"] == ["circle", "circle-open", "circle"]
    assert (ring["x"], ring["y"]) == (["1 + 2"], [70])
    assert "from the best on" in section.picture.caption


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (
            ("1, 2", "yes", 0.65),
            "The soup has 2 of 3 ingredients, and a validation score of 65.0 %: +5.0 points against the best"
            " single model (ingredient 1, 60.0 %).",
        ),
        (
            ("0, 1, 2", "yes", 0.58),
            "The soup has 3 of 3 ingredients, and a validation score of 58.0 %: -2.0 points against the best"
            " single model (ingredient 1, 60.0 %).",
        ),
        (
            ("1, 2", "no", 0.55),
            "The soup is one of 3 ingredients alone, and nothing is averaged: the best single model"
            " (ingredient 1, 60.0 %).",
        ),
    ],
)
def test_the_gain_over_the_best_single_model_is_told(last: tuple[str, str, float], told: str) -> None:
    record = soup_of(("0", "no", 0.5), ("1", "yes", 0.6), ("2", "no", 0.55), last)
    (section,) = soup_sections(Material((record,), (record,), {}, {}))
    assert section.told.replace("\N{NO-BREAK SPACE}", " ") == told
