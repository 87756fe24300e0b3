"""Stages and poolings on the page: a line for each pooling, the chosen feature ringed and named."""

import pytest

from pointlab.report.collect import Material
from pointlab.report.stages import read_features, stage_sections
from pointlab.storage import Record

GRID = {"block_1/pooled": 0.6, "block_1/maximum": 0.5, "pooled": 0.7, "block_2/maximum": 0.8}
"""As a record names them: what heads read in training goes by one word."""


def probe(seed: int, chosen: str, gain: float = 0.0) -> Record:
    return Record(
        run=f"probe-0123456789-s{seed}",
        kind="transfer",
        name="probe",
        seed=seed,
        protocol="linear_probe",
        config={},
        code_version="",
        curves={
            "features": [
                {"feature": name, "validation/accuracy": accuracy + gain} for name, accuracy in GRID.items()
            ]
        },
        notes={"reads": f"{chosen}, the best of 4 on validation"},
    )


def test_every_pooling_is_a_line_over_the_stages_and_the_chosen_one_has_a_ring() -> None:
    record = probe(0, "block_2/maximum")
    (section,) = stage_sections(Material((record,), (record,), {}, {}))
    *lines, ring = section.pictures[0].figure.data
    assert [list(line.x) for line in lines] == [[1, 2], [1, 2]]
    assert [list(line.y) for line in lines] == [[60, 70], [50, 80]]
    assert (list(ring.x), list(ring.y)) == ([2], [80])
    assert (
        "block_2/maximum (80.0\N{NO-BREAK SPACE}%) was chosen, where pooled has"
        in section.pictures[0].caption
    )


def test_of_several_seeds_the_mean_is_told_and_who_chose_what() -> None:
    grid = read_features([probe(0, "pooled"), probe(1, "block_2/maximum", 0.1), probe(2, "pooled", 0.2)])
    found = {feature.name: feature for feature in grid}
    assert found["pooled"].mean == pytest.approx(0.8)
    assert {name: one.num_chosen for name, one in found.items()} == {
        "block_1/pooled": 0,
        "block_1/maximum": 0,
        "block_2/maximum": 1,
        "pooled": 2,
    }


def test_a_chosen_figure_of_several_seeds_is_told_with_its_spread_and_of_whom() -> None:
    records = probe(0, "pooled"), probe(1, "block_2/maximum", 0.1), probe(2, "pooled", 0.2)
    (section,) = stage_sections(Material(records, records, {}, {}))
    told = section.pictures[0].caption.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "pooled by 2 of 3 seeds (80.0 ± 10.0 %) and block_2/maximum by 1 of 3 seeds (90.0 ± 10.0 %)" in told
    )
    assert "; in the mean over all 3 seeds, whatever each has chosen" in told


def test_a_run_without_a_grid_has_no_section() -> None:
    record = probe(0, "pooled").model_copy(update={"curves": {}})
    assert stage_sections(Material((record,), (record,), {}, {})) == []
