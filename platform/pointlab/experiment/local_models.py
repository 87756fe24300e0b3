"""A finished run's model as a folder of this machine, for libraries that read files by path."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from pointlab.data.cache import cache_folder
from pointlab.experiment.stored_models import model_manifest
from pointlab.seeding import stable_hash
from pointlab.storage import Manifest, Storage, fetch
from pointlab.storage.artifact import read_verified
from pointlab.storage.files import sha256

NUM_KEPT = 8
"""Copies of models in the cache, as many as a study uses at once; a large teacher has about a gigabyte."""


def local_model(storage: Storage, run: str) -> Path:
    """The folder with the run's model, every file of it verified: in the store itself where that is local.

    From another store it is copied into the cache once. Raises StorageError where the run has no model,
    DamagedError where a file is not what it was.
    """
    path, manifest = f"runs/{run}/model", model_manifest(storage, run)
    if storage.is_local:
        for name in manifest.files:
            read_verified(storage, path, name, manifest, f"runs/{run}")
        return Path(storage.locate(path))
    content = json.dumps({name: entry.sha256 for name, entry in manifest.files.items()}, sort_keys=True)
    folder = cache_folder() / "models" / f"{run}-{stable_hash(content, digits=10)}"
    if not _holds(folder, manifest):
        _copy(storage, path, folder, manifest)
        _forget_oldest(folder)
    os.utime(folder)
    return folder


def _forget_oldest(newest: Path) -> None:
    """Delete the copies that were used longest ago, so that few are kept beside the newest."""
    others = [path for path in newest.parent.iterdir() if path != newest and not path.name.startswith(".")]
    by_age = sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in by_age[NUM_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _holds(folder: Path, manifest: Manifest) -> bool:
    try:
        return all(
            sha256((folder / name).read_bytes()) == entry.sha256 for name, entry in manifest.files.items()
        )
    except (FileNotFoundError, NotADirectoryError):
        return False


def _copy(storage: Storage, path: str, folder: Path, manifest: Manifest) -> None:
    """Written aside and renamed: a reader meets a whole folder or none, whoever else copies it meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        fetch(storage, path, aside / "whole")
        if not _holds(folder, manifest):  # looked at again: another process may have mended it meanwhile
            with contextlib.suppress(FileNotFoundError):
                folder.rename(aside / "damaged")
            (aside / "whole").rename(folder)
    except OSError:
        if not _holds(folder, manifest):  # otherwise another process was quicker, and its copy is as good
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
