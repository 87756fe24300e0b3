"""What a pretraining leaves of clouds that it rebuilt, and what a page shows of it."""

import numpy as np
import pytest

from conftest import tiny_pretrain
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.rebuilt import NUM_CLOUDS, read_rebuilt
from pointlab.experiment.shown import read_files
from pointlab.launch import run
from pointlab.report import build_report
from pointlab.report.collect import Material, collect
from pointlab.report.rebuilt import rebuilt_section
from pointlab.storage import Record, Storage
from tiny_act import Watched

MASKED = {"kind": "masked", "decoder": {"num_heads": 2}}


def finished_run(storage: Storage, **changes: object) -> Record:
    record = run(tiny_pretrain(storage, **{"training": {"epochs": 1}, **changes})).record
    assert record is not None
    return record


def test_validation_clouds_are_kept_with_what_was_given_and_made_of_them(storage: Storage) -> None:
    record = finished_run(storage, paradigm=MASKED)
    clouds = read_rebuilt(storage, record.run)
    split = open_data(storage, record.datasets["data"], 48).split("validation")
    rows = np.linspace(0, len(split) - 1, NUM_CLOUDS).round().astype(int)
    assert len(clouds) == NUM_CLOUDS
    for cloud, row in zip(clouds, rows, strict=True):
        stored = split.arrays(int(row), ("points",))["points"][:48]
        middle = (stored.min(0) + stored.max(0)) / 2
        np.testing.assert_allclose(cloud.points, stored - middle, atol=1e-3)
        assert 0 < cloud.is_given.sum() < len(cloud.points)
        assert cloud.rebuilt.shape == (4 * 4, 3)  # hidden patches of 8, points
        assert np.isfinite(cloud.rebuilt).all()


def test_the_same_run_leaves_the_same_bytes(storage: Storage) -> None:
    record = finished_run(storage, paradigm=MASKED)
    before = read_files(storage, record.run)
    storage.delete_folder(f"runs/{record.run}")
    assert read_files(storage, finished_run(storage, paradigm=MASKED).run) == before


def test_what_makes_no_points_leaves_nothing(storage: Storage) -> None:
    record = finished_run(storage)
    assert read_rebuilt(storage, record.run) == ()
    assert rebuilt_section(storage, collect(storage, [record.run])) is None


def test_a_stage_one_on_the_page_shows_what_it_makes_of_its_codes(
    stored: Storage, finished: tuple[object, dict[str, str], Watched]
) -> None:
    runs = finished[1]
    section = rebuilt_section(stored, collect(stored, [runs["two"]]))
    assert section is not None
    assert [one.record.run for one in section.runs] == [runs["one"]]
    assert {part for part, _ in section.legend} == {"to be rebuilt", "rebuilt"}


@pytest.mark.parametrize("place", ["records", "ancestors"])
def test_of_every_pretraining_the_first_seed_is_shown(storage: Storage, place: str) -> None:
    records = [finished_run(storage, paradigm=MASKED, seed=seed) for seed in (0, 1)]
    known = {record.run: record for record in records}
    beneath = place == "ancestors"
    material = Material((), () if beneath else tuple(records), {}, {}, ancestors=known if beneath else {})
    section = rebuilt_section(storage, material)
    assert section is not None
    assert [one.record.run for one in section.runs] == [records[0].run]
    assert len(section.runs[0].drawings) == NUM_CLOUDS


def test_the_page_has_a_button_for_every_cloud_and_a_scene_with_each(storage: Storage) -> None:
    record = finished_run(storage, paradigm=MASKED)
    page = build_report(storage, [record.run])
    section = page.partition('<section id="rebuilt">')[2].partition("</section>")[0]
    assert section.count("data-class=") == NUM_CLOUDS
    assert section.count('class="card scene"') == 2
    assert section.count("<svg") == 2 * NUM_CLOUDS
    assert f"<code>{record.run}</code>" in section
