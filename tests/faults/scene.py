"""A real run in a process of its own, in a store of its own, to which things can happen."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from conftest import PRETRAIN
from fault_table import add_row
from pointlab.config import merge
from pointlab.storage import Storage
from pointlab.training import Run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = merge(
    PRETRAIN,
    {
        "backbone": {"width": 48, "depth": 4, "num_groups": 16, "group_size": 8},
        "training": {
            "epochs": 14,
            "validate_every": 4,
            "checkpoint_every": 5,
            "log_every": 3,
            "log_samples": True,
        },
    },
)
"""42 steps, long enough to be hit in between, with a checkpoint every few of them."""
PATIENCE = 180.0


@dataclass(frozen=True)
class Ending:
    """What a finished run left: its model's digest, its log, and the samples of every step."""

    digest: str
    log: list[dict[str, float]]
    samples: list[list[int]]


@dataclass
class Scene:
    """One experiment in `storage`, run by `pointlab run` in processes that inherit `environment`."""

    storage: Storage
    folder: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """What is put before the command, such as `unshare --mount`."""
    patience: float = PATIENCE
    """Seconds for a whole run."""

    def __post_init__(self) -> None:
        self.config = self.folder / "experiment.yaml"
        settings = merge(merge(SETTINGS, {"storage": {"root": self.storage.address}}), self.changes)
        self.config.write_text(yaml.safe_dump(settings))
        self.output = self.folder / "output.txt"

    def start(self) -> subprocess.Popen[bytes]:
        """The run, in the background; what it says goes to `output`."""
        environment = os.environ | {"PYTHONPATH": str(ROOT / "platform")} | dict(self.environment)
        command = [*self.prefix, sys.executable, "-c", "from pointlab.cli import main; main()"]
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [*command, "run", str(self.config)],
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )

    def run(self) -> int:
        """The run to its end; its exit code."""
        with self.start() as process:
            return process.wait(self.patience)

    def said(self) -> str:
        """All that its processes have said, in one line."""
        return " ".join(self.output.read_text().split())

    @property
    def name(self) -> str:
        """The run's name in the store; empty before it has begun."""
        names = self.storage.folders("runs")
        return names[0] if names else ""

    @property
    def books(self) -> Run:
        """The run's checkpoints and logs."""
        return Run(self.storage, self.name)

    def interrupted(self, process: subprocess.Popen[bytes], act: Callable[[], None], step: int = 10) -> None:
        """Do `act` once there is a checkpoint of `step` or later, while the run goes on."""
        wait_until(lambda: bool(self.name) and max(self.books.checkpoints(), default=0) >= step, process)
        assert process.poll() is None, f"it was over before anything happened: {self.said()}"
        act()

    def killed(self, step: int = 10, how: signal.Signals = signal.SIGKILL) -> int:
        """Start the run and send it a signal after a checkpoint of `step`; its exit code."""
        with self.start() as process:
            self.interrupted(process, lambda: process.send_signal(how), step)
            return process.wait(PATIENCE)

    def ending(self) -> Ending:
        """What the finished run left."""
        return ending_of(self.storage, self.name)


def ending_of(storage: Storage, name: str) -> Ending:
    """What the finished run of this name left."""
    digest, books = hashlib.sha256(), Run(storage, name)
    for module in ("backbone", "head"):
        digest.update(storage.read(f"runs/{name}/model/{module}.safetensors"))
    return Ending(digest.hexdigest(), books.read_log(), books.read_samples())


def wait_until(
    is_true: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, patience: float = PATIENCE
) -> None:
    """Wait for a condition, or for the end of `process`; an assertion fails where neither comes."""
    deadline = time.monotonic() + patience
    while not is_true():
        if process is not None and process.poll() is not None:
            return
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.02)


def copied(source: Path, storage: Storage) -> None:
    """Put every file below `source` into the store."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            storage.write(path.relative_to(source).as_posix(), path.read_bytes())


def faults_of(storage: Storage, run: str) -> list[dict[str, Any]]:
    """What was kept of steps that went wrong."""
    folder = f"runs/{run}/faults"
    return [json.loads(storage.read(f"{folder}/{name}")) for name in storage.files(folder)]


def assert_as_undisturbed(fault: str, where: str, outcome: str, scene: Scene, undisturbed: Ending) -> None:
    """Add a row of the table once the scene has ended like the undisturbed run."""
    ending = scene.ending()
    assert ending.digest == undisturbed.digest
    assert ending.log == undisturbed.log
    assert ending.samples == undisturbed.samples
    add_row(fault, where, outcome, ending.digest, undisturbed.digest)
