"""The page of a study draws its cells, which are records of their own, side by side."""

from pathlib import Path

import pytest

from pointlab.report import build_report
from pointlab.report.collect import collect
from pointlab.storage import Record, Storage, open_storage, write_record
from study_records import study_record

PROTOCOLS = ("full", "wise_ft_lp", "few_shot")
LEVELS = {"start": "here", "backbone": "small", "route": "there", "samples_per_class": "all"}


def cell(protocol: str, seed: int) -> Record:
    """A finished transfer with all that its protocol would tell."""
    stamp = "few_shot/5-way-10-shot/linear" if protocol == "few_shot" else protocol
    metrics = {"test/accuracy": 0.5 + 0.1 * seed, "corrupted-test/mOA": 0.4}
    for place, corruption in enumerate(("jitter", "rotate", "scale")):
        metrics |= {f"corrupted-test/{corruption}{end}/accuracy": 0.4 + 0.05 * place for end in ("", "/1")}
    folds: list[dict[str, float | str]] = [{"test/accuracy": 0.4}, {"test/accuracy": 0.6}]
    sweep: list[dict[str, float | str]] = [
        {"coefficient": at, "method": "wise_ft_lp", "target-validation/accuracy": 0.5 + 0.1 * seed}
        for at in (0.0, 1.0)
    ]
    own = {
        "full": ({}, metrics),
        "wise_ft_lp": ({"coefficients": sweep}, metrics | {"selection/coefficient": 1.0}),
        "few_shot": ({"folds": folds}, {"test/accuracy": 0.5, "test/accuracy_std": 0.14}),
    }
    curves, figures = own[protocol]
    return Record(
        run=f"{protocol.replace('_', '-')}-0123456789-s{seed}",
        kind="transfer",
        name=protocol,
        seed=seed,
        protocol=stamp,
        config={},
        code_version="",
        metrics=figures,
        curves=curves,
        notes={} if protocol == "few_shot" else {"suite hash": "5eed"},
    )


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A store with a study and its cells, but for the last one, which is gone."""
    store, cells = open_storage(str(tmp_path)), [cell(name, seed) for name in PROTOCOLS for seed in (0, 1)]
    for record in cells[:-1]:
        write_record(store, record)
    rows: list[dict[str, float | str]] = [
        {
            **LEVELS,
            "protocol": record.name,
            "seed": float(record.seed),
            "test/accuracy": record.metrics["test/accuracy"],
            "outcome": "finished",
            "error": "",
            "run": record.run,
            "pretraining_samples": "",
        }
        for record in cells
    ]
    study = study_record(run="tiny-study-0123456789", told="6 of 6 finished, 0 failed", cells=rows, words=[])
    write_record(store, study)
    return store


def test_every_section_that_cells_have_figures_for_is_there(storage: Storage) -> None:
    page = build_report(storage, ["tiny-study-0123456789"])
    for anchor in ("study", "front", "coefficient", "few-shot", "corruptions"):
        assert f'<section id="{anchor}">' in page
        assert f'href="#{anchor}"' in page
    for anchor in ("soup", "mistakes", "results", "search"):
        assert f'id="{anchor}"' not in page
    assert page.count("there, small, all labels") >= 4


def test_a_cell_that_left_the_store_is_left_out(storage: Storage) -> None:
    cells = collect(storage, ["tiny-study-0123456789"]).cells
    runs = [cell(name, seed).run for name in PROTOCOLS for seed in (0, 1)]
    assert list(cells) == runs[:-1]
