"""What every test stands on: one thread, a cache of its own, tiny prepared sets, one Ray session for all."""

import os

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import fault_table
from pointlab.config import merge, validate
from pointlab.experiment import LaunchConfig, PretrainExperiment, TransferExperiment
from pointlab.launch import prepare
from pointlab.storage import Storage, open_storage
from pointlab.training import ignore_progress
from s3_server import S3Server

if TYPE_CHECKING:
    from faults.scene import Ending, Scene

pytest_plugins = ["tiny_act", "tiny_recon", "in_browser"]
SHAPES = {
    "name": "shapes",
    "source": {"kind": "shapes", "num_train_per_class": 4, "num_test_per_class": 1, "num_points": 128},
    "num_points": 64,
    "validation_fraction": 0.25,
    "clouds_per_shard": 32,
}
SCANS = {
    "name": "scans",
    "source": {"kind": "scans", "sensor": "dense", "num_train_per_class": 4, "num_test_per_class": 1},
    "num_points": 64,
    "validation_fraction": 0.25,
}
SPARSE = merge(SCANS, {"name": "scans-sparse", "source": {"kind": "scans", "sensor": "sparse"}})
BACKBONE = {
    "kind": "patch_transformer",
    "width": 16,
    "depth": 2,
    "num_heads": 2,
    "num_groups": 8,
    "group_size": 4,
    "embedder_widths": [8, 16, 16],
}
TRAINING = {"epochs": 2, "batch_size": 16, "warmup_epochs": 0.5, "log_every": 1}
PRETRAIN = {
    "kind": "pretrain",
    "name": "tiny",
    "data": SHAPES,
    "num_points": 48,
    "backbone": BACKBONE,
    "training": TRAINING,
    "launch": {"kind": "local"},
}
TRANSFER = {
    "kind": "transfer",
    "name": "tiny-transfer",
    "pretrained": PRETRAIN,
    "data": SCANS,
    "shifted": SPARSE,
    "num_points": 48,
    "protocol": "wise_ft_lp",
    "training": {**TRAINING, "selection": "best"},
    "mixture": {"coefficients": [0.0, 0.5, 1.0]},
    "launch": {"kind": "local"},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["POINTLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny sets, to be copied."""
    from pointlab.data.dataset import DatasetConfig

    root = tmp_path_factory.mktemp("prepared")
    storage = open_storage(str(root))
    for settings in (SHAPES, SCANS, SPARSE):
        config = validate(DatasetConfig, settings, "test")
        prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)
    return root


@pytest.fixture
def storage(prepared_root: Path, tmp_path: Path) -> Storage:
    """A store of the test's own that holds the tiny sets."""
    shutil.copytree(prepared_root, tmp_path / "store")
    return open_storage(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with the bucket `pointlab`; who kills it revives it."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    try:
        server.make_bucket("pointlab")
        yield server
    finally:
        server.stop()


@pytest.fixture
def s3_storage(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty store of the test's own on that server, which this process's environment leads to."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return Storage(f"s3://pointlab/{tmp_path.name}")


def tiny_pretrain(storage: Storage, **changes: Any) -> PretrainExperiment:
    """The tiny pretraining with nested changes, in this store."""
    settings = merge(merge(PRETRAIN, {"storage": {"root": storage.address}}), changes)
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment


def tiny_transfer(storage: Storage, **changes: Any) -> TransferExperiment:
    """The tiny transfer with nested changes, in this store."""
    settings = merge(merge(TRANSFER, {"storage": {"root": storage.address}}), changes)
    experiment: TransferExperiment = validate(TransferExperiment, settings, "test")
    return experiment


@pytest.fixture(scope="session")
def ray_session(_own_cache: None) -> None:
    """The session's cluster on this machine, shared by every test that asks for it."""
    from pointlab.engine.session import connect

    connect()


@pytest.fixture
def scene(storage: Storage, tmp_path: Path) -> "Scene":
    """The experiment of the table of faults in a local folder, run without Ray."""
    from faults.scene import Scene

    return Scene(storage, tmp_path)


@pytest.fixture(scope="session")
def undisturbed(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> "Ending":
    """What the experiment of the table of faults leaves when nothing happens to it."""
    from faults.scene import Scene

    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(prepared_root, folder / "store")
    scene = Scene(Storage(str(folder / "store")), folder)
    assert scene.run() == 0, scene.said()
    return scene.ending()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table of faults."""
    fault_table.show(terminalreporter)
