"""Rows: a search whose driver is killed in the middle of it."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from fault_table import add_row
from faults.scene import PATIENCE, Scene, wait_until
from pointlab.config import merge
from pointlab.experiment.search.trials import TrialLedger
from pointlab.storage import Record, Storage, read_record
from tiny_search import RATES, SEARCH

pytestmark = [pytest.mark.fault, pytest.mark.slow]
TOTAL = 6
SAMPLERS: dict[str, dict[str, Any]] = {
    "random": {"sampler": {"kind": "random"}},
    "grid": {
        "sampler": {"kind": "grid"},
        "space": {path: {"steps": TOTAL} for path in RATES},
        "num_trials": None,
    },
    "tpe": {"sampler": {"kind": "tpe", "batch": 2, "startup": 2}},
    "pbt": {
        "sampler": {"kind": "pbt", "population": 2, "interval": 1},
        "num_trials": None,
        "transfer": {"protocol": "full", "training": {"epochs": 3}},
    },
}


class SearchScene(Scene):
    """A search of six trials in a process of its own, on a Ray of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        own = {"space": RATES, "num_trials": TOTAL, "storage": {"root": self.storage.address}}
        self.config.write_text(yaml.safe_dump(merge({**SEARCH, **own}, self.changes)))

    @property
    def name(self) -> str:
        """The search's run; empty before it has begun."""
        begun = [run for run in self.storage.folders("runs") if self.storage.folders(f"runs/{run}")]
        return next((run for run in begun if "trials" in self.storage.folders(f"runs/{run}")), "")

    @property
    def num_over(self) -> int:
        """How many of its trials are over."""
        if not self.name:
            return 0
        return sum(trial.is_over for trial in TrialLedger(self.storage, self.name).read().values())

    def record(self) -> Record:
        """What it found."""
        record = read_record(self.storage, self.name)
        assert record is not None, self.said()
        return record


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_finds_what_an_undisturbed_one_finds(
    sampler: str, prepared_root: Path, tmp_path: Path
) -> None:
    undisturbed, killed = (
        scene_in(tmp_path / name, prepared_root, SAMPLERS[sampler]) for name in ("whole", "killed")
    )
    assert undisturbed.run() == 0, undisturbed.said()
    with killed.start() as process:
        wait_until(lambda: killed.num_over >= 2, process)
        assert process.poll() is None, killed.said()
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE) == -signal.SIGKILL
    num_over = killed.num_over
    assert num_over < TOTAL
    before = {path: path.read_bytes() for path in notes(killed) if b'"finished"' in path.read_bytes()}
    assert killed.run() == 0, killed.said()
    one, other = undisturbed.record(), killed.record()
    assert table(one) == table(other)
    assert len(table(one)) == TOTAL
    assert one.curves.get("schedule") == other.curves.get("schedule")
    assert one.notes["chosen trial"] == other.notes["chosen trial"]
    assert one.metrics == other.metrics
    assert all(path.read_bytes() == content for path, content in before.items())  # none has run twice
    outcome = f"{num_over} of {TOTAL} trials were over, the same command went on"
    add_row(f"search SIGKILL, {sampler}", "Ray, folder", outcome)


def scene_in(folder: Path, prepared: Path, changes: dict[str, Any]) -> SearchScene:
    shutil.copytree(prepared, folder / "store")
    return SearchScene(Storage(str(folder / "store")), folder, changes)


def notes(scene: SearchScene) -> list[Path]:
    return sorted(Path(scene.storage.root).glob(f"runs/{scene.name}/trials/*.json"))


def table(record: Record) -> list[str]:
    """The trials but for the seconds that they took."""
    rows = [
        {name: cell for name, cell in row.items() if name != "seconds"} for row in record.curves["trials"]
    ]
    return [json.dumps(row, sort_keys=True) for row in rows]
