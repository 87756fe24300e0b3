"""ACT as small as it can be: a stage I around a random teacher, and what learns from its latents.

Its fixtures are there for every test (`pytest_plugins` in `conftest.py`).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from conftest import BACKBONE, PRETRAIN, TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import PretrainExperiment, TransferExperiment, pretraining
from pointlab.experiment.providers import build_providers
from pointlab.launch import run
from pointlab.storage import Storage, open_storage, read_record

NETWORK = {
    "kind": "vit",
    "picture_size": 16,
    "patch_size": 8,
    "width": 16,
    "depth": 2,
    "num_heads": 2,
}
EMBEDDING = {
    "kind": "patch_embedding",
    "width": 16,
    "num_groups": 8,
    "group_size": 4,
    "embedder_widths": [8, 16, 16],
}
AUTOENCODER = {
    "num_codes": 16,
    "prompts": {"num_prompts": 2},
    "graph_widths": [8, 8, 8, 8, 16],
    "coarse_width": 16,
    "fine_width": 16,
}
STAGE_ONE: dict[str, Any] = merge(
    PRETRAIN,
    {
        "name": "stage-one",
        "backbone": EMBEDDING,
        "paradigm": {"kind": "act_autoencoder", "autoencoder": AUTOENCODER},
        "teacher": {"kind": "random", "network": NETWORK},
        "training": {"epochs": 1},
    },
)
STAGE_TWO: dict[str, Any] = merge(
    PRETRAIN,
    {
        "name": "stage-two",
        "backbone": BACKBONE,
        "paradigm": {"kind": "act", "decoder": {"num_heads": 2}},
        "latents": STAGE_ONE,
        "training": {"epochs": 1},
    },
)
PROBE = merge(TRANSFER, {"protocol": "linear_probe", "pretrained": STAGE_TWO, "shifted": None})
Watched = list[tuple[nn.Module, dict[str, bytes]]]


def tiny_act(storage: Storage, **changes: Any) -> PretrainExperiment:
    """Stage II, and the stage I that it starts from, with nested changes, in this store."""
    settings = merge(merge(STAGE_TWO, {"storage": {"root": storage.address}}), changes)
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment


def contents(module: nn.Module) -> dict[str, bytes]:
    """The bytes of every parameter and buffer."""
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def probe(storage: Storage, **changes: Any) -> TransferExperiment:
    settings = merge(merge(PROBE, {"storage": {"root": storage.address}}), changes)
    experiment: TransferExperiment = validate(TransferExperiment, settings, "test")
    return experiment


@pytest.fixture(scope="session")
def finished(
    prepared_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str], Watched]:
    """A store with stage I, stage II and a probe of it; its runs by kind, and the networks they learned from
    with the bytes that these had before."""
    root = tmp_path_factory.mktemp("act") / "store"
    shutil.copytree(prepared_root, root)
    storage, watched = open_storage(str(root)), Watched()

    def watching(*arguments: Any) -> Mapping[str, nn.Module]:
        found = build_providers(*arguments)
        watched.extend((network, contents(network)) for network in found.values())
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pretraining, "build_providers", watching)
        record = run(probe(storage)).record
    assert record is not None
    stage_two = read_record(storage, record.parents["pretrained"])
    assert stage_two is not None
    runs = {"probe": record.run, "two": stage_two.run, "one": stage_two.parents["latents"]}
    return root, runs, watched


@pytest.fixture
def stored(finished: tuple[Path, dict[str, str], Watched], tmp_path: Path) -> Storage:
    """A copy of it of the test's own."""
    shutil.copytree(finished[0], tmp_path / "store")
    return open_storage(str(tmp_path / "store"))
