"""W&B's own reader finds in the offline files what records and logs say; a run is written whole and once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from told_runs import LOSSES, MEASURED, TRAINED, measured, trained
from typer.testing import CliRunner

from pointlab.cli import app
from pointlab.errors import PointlabError
from pointlab.storage import Storage, open_storage
from pointlab.tracking import to_wandb


@pytest.fixture
def empty(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "store"))


def inspected(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of a run, by kind, as `wandb` itself reads them."""
    [file] = folder.glob("run-*.wandb")
    program = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    printed = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout
    found: dict[str, list[dict[str, Any]]] = {}
    for line in printed.splitlines():
        record = json.loads(line)
        found.setdefault(record["type"], []).append(record)
    return found


def last_summary(records: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """All figures of a run, as each record of them adds to those before."""
    return {name: value for each in records["summary"] for name, value in each["summary"]["update"].items()}


def test_settings_curves_figures_and_origin_are_in_the_file(empty: Storage, tmp_path: Path) -> None:
    replay = trained(empty)
    [(folder, is_new)] = to_wandb([replay], tmp_path, "lab")
    assert is_new
    records = inspected(folder)
    [run] = (each["run"] for each in records["run"])
    assert (run["run_id"], run["project"], run["run_group"]) == (TRAINED, "lab", "tiny")
    told = run["config"]["update"]
    assert {name: told[name] for name in replay.record.config} == replay.record.config
    assert told["pointlab"] == replay.origin
    history = [each["history"]["item"] for each in records["history"]]
    assert [(line["_step"], line["train/loss"]) for line in history] == list(enumerate(LOSSES, start=1))
    assert [line.get("validation/accuracy") for line in history] == [None, 0.75, 0.625]
    summary = last_summary(records)
    assert {name: summary[name] for name in replay.figures if name != "corrupted-test/mOA"} == {
        name: value for name, value in replay.figures.items() if name != "corrupted-test/mOA"
    }
    assert summary["corrupted-test/mOA"] is None  # its reader prints what is no number as JSON can
    assert records["exit"][0]["exit"]["exit_code"] == 0


def test_nothing_is_told_of_the_machine_that_exports(empty: Storage, tmp_path: Path) -> None:
    [(folder, _)] = to_wandb([trained(empty)], tmp_path, "lab")
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in content
    assert "host" not in inspected(folder)["run"][0]["run"]


def test_wandbs_own_command_finds_what_is_to_be_sent(empty: Storage, tmp_path: Path) -> None:
    [(folder, _)] = to_wandb([trained(empty)], tmp_path, "lab")
    program = [sys.executable, "-m", "wandb", "sync", "--dry-run"]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert f"wandb/{folder.name}/run-{TRAINED}.wandb" in ended.stdout + ended.stderr


def test_a_run_is_written_once(empty: Storage, tmp_path: Path) -> None:
    replay = trained(empty)
    [(folder, _)] = to_wandb([replay], tmp_path, "lab")
    before = {path: path.read_bytes() for path in folder.rglob("*.wandb")}
    again = list(to_wandb([replay, measured(empty)], tmp_path, "lab"))
    assert [is_new for _, is_new in again] == [False, True]
    assert again[0][0] == folder
    assert {path: path.read_bytes() for path in folder.rglob("*.wandb")} == before


def test_what_broke_half_way_leaves_nothing_behind(
    empty: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    replay, target = trained(empty), tmp_path / "files"
    with monkeypatch.context() as patched:
        patched.setattr(type(replay), "figures", property(lambda _: _broken(wandb)))
        with pytest.raises(PointlabError, match="wandb refused tiny-0a1b-s3: half-way"):
            list(to_wandb([replay], target, "lab"))
    assert [path for path in target.rglob("*") if path.is_file()] == []
    assert [is_new for _, is_new in to_wandb([replay], target, "lab")] == [True]


def _broken(wandb: Any) -> dict[str, float]:
    raise wandb.errors.UsageError("half-way")


def test_the_command_says_how_to_send_what_is_new(empty: Storage, tmp_path: Path) -> None:
    measured(empty)
    command = ["track", "wandb", MEASURED, "--root", empty.address, "--to", str(tmp_path / "files")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    [folder] = (tmp_path / "files" / "wandb").iterdir()
    said = result.output.replace("\n", "")
    assert f"wandb sync {folder}" in said
    assert "Nothing new" in CliRunner().invoke(app, command).output
