"""Row: a study whose driver is killed twice in the middle of it."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fault_table import add_row
from faults.scene import ROOT, Scene, wait_until
from pointlab.storage import Record, Storage, read_record
from pointlab.training import Run
from process_tree import members

pytestmark = [pytest.mark.fault, pytest.mark.slow]
TINY = ROOT / "configs" / "study" / "tiny.yaml"
PATIENCE = 1800.0
"""The study takes minutes, and a busy machine several times as many."""


class StudyScene(Scene):
    """The study of `TINY` in a process of its own, on a Ray of its own, both in a session of their own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sessions: list[int] = []
        self.runs = Path(self.storage.root) / "runs"
        settings = {"extends": str(TINY), "storage": {"root": self.storage.address}}
        self.config.write_text(yaml.safe_dump(settings))

    def start(self) -> subprocess.Popen[bytes]:
        """As any scene; by its session, what it leaves behind is found again."""
        process = super().start()
        self.sessions.append(process.pid)
        return process

    def finished(self) -> set[str]:
        """Runs with a record."""
        return {path.parts[-3] for path in self.runs.glob("*/record/manifest.json")}

    def is_within_a_training(self) -> bool:
        """Whether a run has a checkpoint and no record."""
        begun = {path.parts[-2] for path in self.runs.glob("*/checkpoints")}
        return any(Run(self.storage, run).checkpoints() for run in begun - self.finished())

    def killed_within(self, runs: set[str]) -> str:
        """Start it, and kill the driver once half of `runs` are finished and something is in mid-training;
        how many of how many were finished."""
        enough = len(runs) // 2
        with self.start() as process:
            try:
                wait_until(
                    lambda: len(runs & self.finished()) >= enough and self.is_within_a_training(),
                    process,
                    self.patience,
                )
                assert process.poll() is None, f"it was over before it was killed: {self.said()}"
            finally:
                process.kill()
            assert process.wait(self.patience) == -signal.SIGKILL
        num_finished = len(runs & self.finished())
        assert enough <= num_finished < len(runs)
        return f"{num_finished} of {len(runs)}"

    def record(self) -> Record:
        """What the study found."""
        (study,) = (each for each in self.all_records().values() if each.kind == "study")
        return study

    def all_records(self) -> dict[str, Record]:
        """What every run found."""
        found = {run: read_record(self.storage, run) for run in sorted(self.finished())}
        return {run: record for run, record in found.items() if record is not None}

    def as_stored(self) -> dict[str, bytes]:
        """The bytes of every record."""
        return {run: (self.runs / run / "record" / "record.json").read_bytes() for run in self.finished()}

    def weights(self) -> dict[str, str]:
        """The digest of every file of final weights."""
        files = sorted(self.runs.glob("*/model/*.safetensors"))
        return {
            str(file.relative_to(self.runs)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
        }

    def end(self) -> None:
        """End what is left of its sessions: a killed driver's Ray, if it has not ended with the driver."""
        for process in (each for session in self.sessions for each in members(session)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[tuple[StudyScene, StudyScene]]:
    """Two of the same study, neither of which can read what the other has left on the machine."""
    whole, killed = (scene_in(tmp_path / name) for name in ("whole", "killed"))
    try:
        yield whole, killed
    finally:
        whole.end()
        killed.end()


def test_a_study_that_is_killed_twice_comes_to_the_table_of_an_undisturbed_one(
    scenes: tuple[StudyScene, StudyScene],
) -> None:
    undisturbed, killed = scenes
    assert undisturbed.run() == 0, undisturbed.said()
    whole = undisturbed.record()
    pretrainings = {str(row["run"]) for row in whole.curves["ancestors"]}
    fine_tunings = {str(row["run"]) for row in whole.curves["cells"] if row["protocol"] == "full"}
    first = killed.killed_within(pretrainings)
    after_one = killed.as_stored()
    second = killed.killed_within(fine_tunings)
    after_two = killed.as_stored()
    assert killed.run() == 0, killed.said()
    stored = killed.as_stored()
    assert after_one.items() <= after_two.items() <= stored.items()  # no finished run was made again
    assert tables(killed.record()) == tables(whole)
    assert killed.all_records().keys() == undisturbed.all_records().keys()
    for run, record in undisturbed.all_records().items():
        assert found_by(killed.all_records()[run]) == found_by(record)
    assert {path.partition("/")[0] for path in killed.weights()} == stored.keys() - {whole.run}
    assert killed.weights() == undisturbed.weights()
    outcome = f"{first} pretrainings, then {second} fine-tunings were finished; the same command went on"
    add_row("study SIGKILL twice", "Ray, folder", outcome, digest(killed), digest(undisturbed))


def scene_in(folder: Path) -> StudyScene:
    folder.mkdir()
    cache = {"POINTLAB_CACHE": str(folder / "cache")}
    storage = Storage(str(folder / "store"))
    return StudyScene(storage, folder, environment=cache, prefix=("setsid",), patience=PATIENCE)


def tables(study: Record) -> dict[str, list[str]]:
    """Every table and note of the study, but for the seconds that things took."""
    rows = {name: [untimed(row) for row in curve] for name, curve in study.curves.items()}
    return {**rows, "notes": [untimed(study.notes)], "found": [found_by(study)]}


def found_by(record: Record) -> str:
    """What a run found, what it is made from and what it took, but for time."""
    names = {"run", "seed", "protocol", "metrics", "datasets", "parents", "samples_seen", "flops"}
    return json.dumps(record.model_dump(include=names), sort_keys=True)


def untimed(row: dict[str, Any]) -> str:
    kept = {name: value for name, value in row.items() if not name.endswith("seconds")}
    return json.dumps(kept, sort_keys=True)


def digest(scene: StudyScene) -> str:
    """One for the final weights of all runs."""
    return hashlib.sha256(json.dumps(scene.weights()).encode()).hexdigest()
