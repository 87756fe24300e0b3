"""Weights of experiments: drawn by a seed, stored once with their run, read back verified."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.errors import StorageError
from pointlab.seeding import stable_integer
from pointlab.storage import Manifest, Storage, publish, read_manifest
from pointlab.storage.artifact import read_verified
from pointlab.storage.files import sha256


@contextlib.contextmanager
def seeded(*key: int | str) -> Iterator[None]:
    """Draw new weights from a generator of this key, leaving torch's own as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_integer(*key))
        yield


def publish_model(
    storage: Storage,
    run: str,
    modules: Mapping[str, nn.Module],
    backbone: BackboneConfig,
    class_names: tuple[str, ...],
    *,
    needs: Mapping[str, Any] | None = None,
) -> None:
    """Store modules at `runs/<run>/model`, one safetensors file each; the first worker does it.

    `needs` are entries of the manifest's details on what the modules cannot be used without.
    An earlier attempt that died after this may have left the same model, which then stays.
    """
    if distributed.rank() > 0:
        return
    path = f"runs/{run}/model"
    contents = {f"{name}.safetensors": save_safetensors(_cpu_state(m)) for name, m in modules.items()}
    details = {
        "backbone": backbone.model_dump(mode="json"),
        "class_names": list(class_names),
        **(needs or {}),
    }
    publish_once(storage, path, "model", contents, details, decisive=tuple(contents))


def publish_once(
    storage: Storage,
    path: str,
    kind: str,
    contents: Mapping[str, bytes],
    details: Mapping[str, Any],
    *,
    decisive: tuple[str, ...],
) -> None:
    """Store `contents` as an artifact of this kind, unless an earlier attempt that died later left it there.

    Raises StorageError where that one's `decisive` files, the weights, are others.
    """
    existing = read_manifest(storage, path)
    if existing is None:
        publish(storage, path, kind, contents, details)
    elif any(
        name not in existing.files or existing.files[name].sha256 != sha256(contents[name])
        for name in decisive
    ):
        raise StorageError(
            f"{storage.locate(path)} holds other weights than this run just computed.",
            expected="equal weights from equal settings",
            remedy=f"find out why (another machine or torch?), delete {storage.locate(path)} and run again",
        )


def model_manifest(storage: Storage, run: str) -> Manifest:
    """What the stored model of a finished run consists of; StorageError where it has none."""
    manifest = read_manifest(storage, f"runs/{run}/model")
    if manifest is None:
        raise StorageError(f"The run {run} has no stored model.", remedy="run its config to the end first")
    return manifest


def read_module(storage: Storage, run: str, name: str) -> dict[str, Tensor]:
    """Weights of one stored module of a finished run, verified."""
    manifest = model_manifest(storage, run)
    content = read_verified(storage, f"runs/{run}/model", f"{name}.safetensors", manifest, f"runs/{run}")
    return load_safetensors(content)


def read_modules(storage: Storage, run: str) -> dict[str, Mapping[str, Tensor]]:
    """Weights of all stored modules of a finished run by name, verified."""
    names = [Path(name) for name in model_manifest(storage, run).files]
    return {
        name.stem: read_module(storage, run, name.stem) for name in names if name.suffix == ".safetensors"
    }


def seeded_backbone(config: BackboneConfig, seed: int) -> Backbone:
    """A new backbone whose weights depend on `seed` alone."""
    with seeded(seed, "backbone"):
        return build_backbone(config)


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
