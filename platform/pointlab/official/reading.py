"""Checkpoint files as others wrote them, read without executing anything: `.pth` and safetensors.

Released files are a mapping {base_model, optimizer, epoch, metrics, best_metrics}; some have their weights
under `model`, segmentation networks under `model_state_dict`. DataParallel puts `module.` before names.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from pointlab.errors import DataError
from pointlab.official.stand_ins import HARMLESS

WRAPPERS = ("base_model", "model_state_dict", "state_dict", "model")
OURS = "pointlab"
"""Under this name an export of ours says what tensors do not tell (`Unstored`), beside the weights."""
MAX_BYTES = 8 * 2**30
"""No released file has a tenth of it; a larger one is a mistake, and would fill the memory of a laptop."""


@dataclass(frozen=True)
class StoredCheckpoint:
    """Weights by their official names, without `module.`, and what the file says beside them."""

    weights: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """What an export of ours says beside them."""


def read_checkpoint(path: Path, max_bytes: int = MAX_BYTES) -> StoredCheckpoint:
    """The weights in a `.pth` or a safetensors file, told apart by their first bytes; nothing is executed.

    Raises DataError where it is missing, too large, cut, of another kind, or asks for more than data.
    """
    beginning = _beginning(path, max_bytes)
    if beginning[8:9] == b"{":  # asked first: before it stands a length, which may look like anything
        return unwrap(_safetensors(path), str(path))
    if beginning.startswith((b"PK", b"\x80")):
        return unwrap(_unpickled(path), str(path))
    raise DataError(
        f"{path} is no checkpoint: it begins with {beginning!r}.",
        expected="a file that torch.save wrote, or a safetensors file",
        remedy="download it again; a web page may have been saved in its place",
    )


def unwrap(content: Any, origin: str) -> StoredCheckpoint:
    """The weights of a file's content, wherever they lie in it; DataError where there are none."""
    if not isinstance(content, Mapping):
        raise _no_weights(origin, f"a {type(content).__name__}")
    held = [name for name in WRAPPERS if isinstance(content.get(name), Mapping)]
    if len(held) > 1:
        raise _no_weights(origin, f"several: {', '.join(held)}")
    weights = content[held[0]] if held else content
    strange = [str(name) for name, value in weights.items() if not isinstance(value, Tensor)]
    if strange or not weights:
        raise _no_weights(origin, f"no tensor at {', '.join(strange[:5]) or 'any name'}")
    notes = {str(k): str(v) for k, v in content.items() if isinstance(v, int | float | str)} if held else {}
    best = content.get("best_metrics") if held else None
    notes |= {f"best {k}": str(v) for k, v in best.items()} if isinstance(best, Mapping) else {}
    ours = content.get(OURS) if held else None
    settings = dict(ours) if isinstance(ours, Mapping) else {}
    return StoredCheckpoint(_without_module(weights, origin), notes, settings)


def file_sha256(path: Path) -> str:
    """The sha256 of a file; DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", remedy="check the path") from None


def _beginning(path: Path, max_bytes: int) -> bytes:
    """The first bytes of a file of a sensible size."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(9)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", remedy="check the path") from None
    if size > max_bytes:
        raise DataError(f"{path} has {size:,} bytes.", expected=f"a checkpoint of at most {max_bytes:,}")
    return beginning


def _safetensors(path: Path) -> dict[str, Any]:
    """As a `.pth` has it: the weights under a name of their own, and our settings beside them."""
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(OURS)
        return {WRAPPERS[0]: load_file(path), OURS: json.loads(said) if said else None}
    except Exception as error:  # whatever its reader trips over, the file is at fault
        raise _unreadable(path, str(error)) from None


def _unpickled(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its reader trips over, the file is at fault
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise _unreadable(path, str(error)) from None
    raise DataError(
        f"{path} asks to run {asked[1]}, and was not read further: nothing in it was executed.",
        expected="tensors, numbers, texts and plain containers",
        remedy="if you trust it, load it where it was made and save its weights alone, best as safetensors",
    )


def _without_module(weights: Mapping[Any, Tensor], origin: str) -> dict[str, Tensor]:
    """The weights without `module.` in their names; DataError where two names become one."""
    found = {str(name).replace("module.", ""): tensor.detach() for name, tensor in weights.items()}
    if len(found) < len(weights):
        raise DataError(f"{origin} holds weights twice, with and without module. before their names.")
    return found


def _unreadable(path: Path, why: str) -> DataError:
    own_words = why.rpartition("WeightsUnpickler error: ")[2].strip()  # without advice to read it unsafely
    reason = own_words.splitlines()[0][:200].rstrip(".") if own_words else "it ends too early"
    return DataError(
        f"{path} is damaged: {reason}.", expected="a whole checkpoint file", remedy="download it again"
    )


def _no_weights(origin: str, found: str) -> DataError:
    return DataError(
        f"The weights of {origin} are not where they are looked for: there is {found}.",
        expected=f"tensors by name, alone or under one of {', '.join(WRAPPERS)}",
    )
