"""`pointlab show` lists what was asked for, sets runs side by side, and prints what makes a run again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from conftest import TRAINING, tiny_pretrain
from pointlab import launch
from pointlab.cli import app
from pointlab.errors import PointlabError
from pointlab.experiment import load
from pointlab.storage import Record, Storage, open_storage, read_record, write_record
from pointlab.study.interim import FILE
from tiny_study import tiny_study

Show = Callable[..., str]
PRETRAINING = {"kind": "pretrain", "protocol": "pretraining/supervised"}


def of_run(run: str, accuracy: float, **fields: Any) -> Record:
    """A transfer that was finished on the day of its seed."""
    seed = int(run.rpartition("-s")[2])
    about: dict[str, Any] = {
        "kind": "transfer",
        "name": run.partition("-")[0],
        "seed": seed,
        "protocol": "full/10-per-class",
        "config": {"protocol": "full", "training": {"epochs": seed, "clip": None}, "tags": [1, 2]},
        "code_version": "1",
        "metrics": {"test/accuracy": accuracy},
        "finished": f"2026-05-0{seed}T00:00:00+00:00",
    }
    return Record(run=run, **(about | fields))


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """Three transfers, a pretraining, and a run that has only begun."""
    storage = open_storage(str(tmp_path))
    other = {"protocol": "full", "training": {"epochs": 3, "clip": 1.5}, "tags": [1]}
    for record in (
        of_run("one-1-s1", 0.5),
        of_run("one-1-s2", 0.75),
        of_run("two-2-s3", 0.25, config=other, protocol="probe", metrics={"test/accuracy": 0.25, "odd": 1.0}),
        of_run("base-3-s4", 0.0, **PRETRAINING, config={"training": {"epochs": 4}}, metrics={"odd": 2.0}),
    ):
        write_record(storage, record)
    storage.write("runs/begun-4-s5/config.yaml", b"kind: transfer\n")
    return storage


@pytest.fixture
def show(store: Storage) -> Show:
    """What `pointlab show ARGUMENTS` prints of the store."""

    def command(*arguments: str, root: str = store.address) -> str:
        ended = CliRunner().invoke(app, ["show", *arguments, "--root", root])
        if ended.exception is not None:
            raise ended.exception
        return ended.output

    return command


def rows_in(output: str) -> dict[str, list[str]]:
    """The rows of all tables, by their first cells, in their order."""
    lines = (line.split("│")[1:-1] for line in output.splitlines() if line.startswith("│"))
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ([], ["base-3-s4", "begun-4-s5", "one-1-s1", "one-1-s2", "two-2-s3"]),
        (["one"], ["one-1-s1", "one-1-s2"]),
        (["one-1-s2", "two"], ["one-1-s2", "two-2-s3"]),
        (["--kind", "transfer"], ["one-1-s1", "one-1-s2", "two-2-s3"]),
        (["--where", "protocol=full/*"], ["one-1-s1", "one-1-s2"]),  # as the table says it
        (["--where", "protocol=full", "--where", "seed=3"], ["two-2-s3"]),  # as the config says it
        (["--where", "training.epochs=2"], ["one-1-s2"]),
        (["--where", "training.clip=null"], ["one-1-s1", "one-1-s2"]),
        (["--where", "training.clip=1.5e0"], ["two-2-s3"]),
        (["--where", "tags=[1, 2]"], ["one-1-s1", "one-1-s2"]),
        (["--sort", "test/accuracy"], ["one-1-s2", "one-1-s1", "two-2-s3", "base-3-s4"]),
        (["--sort", "training.epochs"], ["one-1-s1", "one-1-s2", "two-2-s3", "base-3-s4"]),
        (["--sort", "training.clip"], ["two-2-s3", "base-3-s4", "one-1-s1", "one-1-s2"]),
        (["--last", "2"], ["base-3-s4", "two-2-s3"]),
        (["--last", "3", "--kind", "transfer", "--sort", "odd"], ["two-2-s3", "one-1-s1", "one-1-s2"]),
    ],
)
def test_runs_are_listed_as_they_were_asked_for(asked: list[str], runs: list[str], show: Show) -> None:
    assert list(rows_in(show(*asked))) == runs
    if asked[:1] not in ([], ["one"], ["one-1-s2"]):
        assert [record["run"] for record in json.loads(show(*asked, "--json"))] == runs


def test_metrics_are_shown_in_columns_of_their_own(show: Show) -> None:
    rows = rows_in(show("two", "base", "--metric", "odd", "--metric", "test/accuracy"))
    assert rows["two-2-s3"][-2:] == ["1", "0.25"]
    assert rows["base-3-s4"][-2:] == ["2", ""]


def test_runs_side_by_side_show_their_figures_and_only_what_differs(show: Show) -> None:
    rows = rows_in(show("one-1-s2", "two-2-s3", "--compare"))
    assert rows["test/accuracy"] == ["0.75", "0.25"]
    assert rows["odd"] == ["", "1"]
    assert rows["training.epochs"] == ["2", "3"]
    assert rows["training.clip"] == ["null", "1.5"]
    assert rows["tags"] == ["[1, 2]", "[1]"]
    assert rows["stamp"] == ["full/10-per-class", "probe"]
    assert not {"protocol", "kind", "code"} & rows.keys()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--where", "training.epoch=2"], "'training.epoch'.*such as training.epochs"),
        (["--where", "seed"], "--where got 'seed'"),
        (["--metric", "test/acuracy"], "such as test/accuracy"),
        (["--sort", "test/acuracy"], "--sort names 'test/acuracy'.*such as test/accuracy"),
        (["one-1-s1", "--compare"], "nothing to compare: of the runs asked for, one-1-s1 is finished"),
        (["one", "--config"], "--config is of one finished run, not of 2 runs"),
        (["begun-4-s5", "--config"], "of which 0 are finished"),
        (["--compare", "--json"], "--compare and --json print different things"),
        (["one", "none"], "no run 'none' among the 5"),
    ],
)
def test_what_cannot_be_shown_is_said_with_what_to_do(asked: list[str], message: str, show: Show) -> None:
    with pytest.raises(PointlabError, match=message):
        show(*asked)


def test_the_config_of_a_run_says_which_code_made_it(show: Show) -> None:
    told = show("one-1-s1", "--config")
    assert "one-1-s1, finished 2026-05-01T00:00:00+00:00 by code version 1\n# Mind" in told
    assert yaml.safe_load(told) == of_run("one-1-s1", 0).config


@pytest.fixture(scope="module")
def studied(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Record]:
    """A store of nothing but the records of a study and its cells, and the study's."""
    root = tmp_path_factory.mktemp("studied")
    shutil.copytree(prepared_root, root / "whole")
    whole, alone = open_storage(str(root / "whole")), open_storage(str(root / "alone"))
    full = {"full": {"protocol": "full", "training": TRAINING}}
    study = launch.run(tiny_study(whole, protocols=full, seeds=[0, 1])).record
    assert study is not None
    for run in whole.folders("runs"):
        record = read_record(whole, run)
        assert record is not None
        write_record(alone, record)
    assert whole.files("records") == [f"{run}.parquet" for run in whole.folders("runs")]
    return alone, study


def test_a_study_is_shown_as_its_tables_and_as_json_when_asked(
    studied: tuple[Storage, Record], show: Show
) -> None:
    storage, study = studied
    told = show(study.run, root=storage.address)
    assert "Compared with scratch" in told
    assert "to-scans, 2 labelled training clouds of each class" in told
    assert "Kendall's tau" in told
    assert json.loads(show(study.run, "--json", root=storage.address)) == study.model_dump(mode="json")


def test_an_unfinished_study_is_shown_as_far_as_it_has_come(
    studied: tuple[Storage, Record], tmp_path: Path, show: Show
) -> None:
    storage = open_storage(str(tmp_path / "begun"))
    storage.write(f"runs/{studied[1].run}/config.yaml", b"")
    storage.write(f"runs/{studied[1].run}/{FILE}", studied[1].model_dump_json().encode())
    assert "Unfinished. Compared with scratch" in show(studied[1].run, root=storage.address)
    with pytest.raises(PointlabError, match="is not finished"):
        show(studied[1].run, "--json", root=storage.address)


def test_two_cells_made_again_from_their_records_alone_have_the_same_numbers(
    studied: tuple[Storage, Record], tmp_path: Path, show: Show
) -> None:
    """In an empty store: sets, pretraining and transfer are made anew by what the record says."""
    storage, study = studied
    scratch, supervised = (
        next(str(row["run"]) for row in study.curves["cells"] if (row["start"], row["protocol"]) == wanted)
        for wanted in (("scratch", "probe"), ("supervised", "full"))
    )
    for run in (scratch, supervised):
        file = tmp_path / f"{run}.yaml"
        file.write_text(show(run, "--config", root=storage.address))
        again = launch.run(load(file, [f"storage.root={tmp_path / 'empty'}"])).record
        recorded = read_record(storage, run)
        assert again is not None
        assert recorded is not None
        for name in ("run", "metrics", "curves", "datasets", "parents", "samples_seen", "seed", "protocol"):
            assert getattr(again, name) == getattr(recorded, name), name


def test_a_run_adds_itself_to_the_table_of_all_records(storage: Storage) -> None:
    record = launch.run(tiny_pretrain(storage)).record
    assert record is not None
    assert storage.files("records") == [f"{record.run}.parquet"]
    shown = CliRunner().invoke(app, ["records", "--root", storage.address]).output
    assert "Every finished run is there." in shown
    assert shown.splitlines()[-1] == f"Records: {storage.address}/records"
