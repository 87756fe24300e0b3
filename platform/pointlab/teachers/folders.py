"""Folders of `transformers`: where one is found, which weights it holds, and the hash that they go by.

Names mean other weights over the years (the same ViT-B was released four times), so whoever trusts a teacher
says which weights are meant. Weights are read from safetensors alone: nothing in a folder is ever executed.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pointlab.errors import DataError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
FETCHED = ["*.json", "*.txt", "model*.safetensors"]
"""What is fetched of a hub's repository: never a pickle, never code."""


def find_folder(path: str) -> Path:
    """The folder at `path`, or, where there is none, that of this name on the hub of `transformers`.

    A name such as google/vit-base-patch16-224-in21k is taken from the hub's cache or downloaded into it;
    DataError where it is neither there nor can be had.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or path.startswith("."):
        raise DataError(
            f"There is no folder {path}.",
            expected="a folder with config.json and model.safetensors",
            remedy="check the path; every node that trains must see it",
        )
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    failures = (OSError, HFValidationError, RuntimeError)  # those of network and cache are OSErrors
    try:
        return Path(huggingface_hub.snapshot_download(path, allow_patterns=FETCHED))
    except failures as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"There is no folder {path}, and the hub gives none of this name: {reason}.",
            expected="a folder with config.json and model.safetensors, or the name of a public model",
            remedy="check the path; offline, copy the folder here from a machine that has it",
        ) from None


def is_to_fetch(path: str) -> bool:
    """Whether this is no folder but a name of the hub that its cache does not hold; nothing is downloaded."""
    if Path(path).expanduser().is_dir() or Path(path).is_absolute() or path.startswith((".", "~")):
        return False
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        huggingface_hub.snapshot_download(path, allow_patterns=FETCHED, local_files_only=True)
    except LocalEntryNotFoundError:
        return True
    except HFValidationError:
        return False  # no name at all, as is said where it is looked for
    return False


def settings_of(folder: Path) -> dict[str, Any]:
    """What config.json says, at least the `model_type`; DataError where there is no such file."""
    try:
        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        str(settings["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder} is no folder of transformers: its config.json is missing or names no model_type.",
            expected="what save_pretrained writes",
            remedy="name the folder that holds config.json and model.safetensors",
        ) from None
    return settings


def require_type(folder: Path, known: Iterable[str]) -> str:
    """The `model_type` of the network, such as vit; DataError where it is not among those `known`."""
    kind = str(settings_of(folder)["model_type"])
    if kind not in (types := tuple(known)):
        raise DataError(
            f"{folder} holds a network of the type {kind!r}.",
            expected=f"one of the type {', '.join(types)}",
            remedy="choose a teacher of such a type",
        )
    return kind


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the network, in the order of their names; DataError where one is missing."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        others = sorted(
            path.name for path in folder.glob("*") if path.suffix in (".bin", ".pth", ".pt", ".h5")
        )
        raise DataError(
            f"{folder} holds no {WEIGHTS}" + (f", but {', '.join(others)}." if others else "."),
            expected="weights as safetensors, in one file or in shards with an index",
            remedy="save the network again with save_pretrained of transformers, which writes them",
        )
    try:
        names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise DataError(f"{folder / INDEX} is damaged.", remedy="copy the folder again") from None
    if strange := [name for name in names if Path(name).suffix != ".safetensors"]:
        raise DataError(
            f"The index of {folder} names {strange[0]}, which is no safetensors file.",
            expected="weights as safetensors: other files may hold code",
            remedy="save the network again with save_pretrained of transformers",
        )
    if missing := [name for name in names if not (folder / name).is_file() or Path(name).name != name]:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(names)} files of its index, such as {missing[0]}.",
            remedy="copy the folder again, whole",
        )
    return [folder / name for name in names]


def hash_of(folder: Path) -> str:
    """The sha256 of the weights: that of model.safetensors, as `sha256sum` and the hub's pages give it.

    Of shards, it is that of the list which `sha256sum model-*.safetensors` prints.
    """
    files = weight_files(folder)
    digests = [_sha256(path) for path in files]
    if len(files) == 1 and files[0].name == WEIGHTS:
        return digests[0]
    lines = (f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def require_hash(folder: Path, sha256: str) -> None:
    """Return where the folder's weights have this hash; DataError where they are others."""
    found = hash_of(folder)
    if found != sha256:
        raise DataError(
            f"The weights in {folder} have the sha256 {found}.",
            expected=f"{sha256}, which the config names",
            remedy="bring the weights that are meant, or name these in the config: that makes another run",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
