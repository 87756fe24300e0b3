"""What is told of a run is what its record and its log say."""

import pytest
from told_runs import LOSSES, measured, trained

from conftest import tiny_pretrain
from pointlab.launch import run
from pointlab.storage import Storage, open_storage
from pointlab.tracking import replay_of
from pointlab.training import Run


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return open_storage(str(tmp_path_factory.mktemp("store")))


def test_the_log_is_told_line_by_line(empty: Storage) -> None:
    replay = trained(empty)
    assert [step for step, _ in replay.lines] == [1, 2, 2, 3, 3]
    assert [figures["train/loss"] for _, figures in replay.lines if "train/loss" in figures] == LOSSES
    assert replay.lines[0][1] == {"epoch": 0.5, "samples": 16.0, "train/loss": 2.5}


def test_a_figure_of_the_chosen_step_does_not_pass_for_the_end_of_its_curve(empty: Storage) -> None:
    figures = trained(empty).figures
    assert figures["selected/validation/accuracy"] == 0.75
    assert "validation/accuracy" not in figures
    assert figures["test/accuracy"] == 0.5
    assert figures["cost/samples_seen"] == 48.0


def test_settings_have_dotted_paths(empty: Storage) -> None:
    settings = trained(empty).settings
    assert settings["training.epochs"] == "2"
    assert settings["training.optimiser.clip_norm"] == "null"
    assert settings["kind"] == "transfer"


def test_origin_names_protocol_data_parents_code_and_seed(empty: Storage) -> None:
    expected = {
        "run": "tiny-0a1b-s3",
        "seed": "3",
        "protocol": "full, all labels",
        "code_version": "c0de",
        "dataset.data": "shapes-1234",
        "parent.pretrained": "pre-11-s0",
    }
    assert expected.items() <= trained(empty).origin.items()


def test_a_run_began_as_long_before_its_end_as_it_took(empty: Storage) -> None:
    replay = measured(empty)
    assert replay.lines == ()
    assert replay.begun.isoformat() == "2026-03-04T05:04:37+00:00"


def test_a_real_training_is_told_as_it_was_logged(storage: Storage) -> None:
    record = run(tiny_pretrain(storage)).record
    assert record is not None
    replay = replay_of(storage, record)
    told = [{"step": step, **figures} for step, figures in replay.lines]
    assert told == Run(storage, record.run).read_log()
    assert (
        replay.figures.items()
        >= {f"selected/{name}": value for name, value in record.metrics.items()}.items()
    )
