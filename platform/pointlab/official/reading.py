"""Checkpoint files as others wrote them, read without executing anything: `.pth` and safetensors.

Released files are a mapping {base_model, optimizer, epoch, metrics, best_metrics}; some have their weights
under `model`, segmentation networks under `model_state_dict`. DataParallel puts `module.` before names.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from pointlab.errors import DataError
from pointlab.official.stand_ins import HARMLESS
from pointlab.storage.files import sha256

WRAPPERS = ("base_model", "model_state_dict", "state_dict", "model")
OURS = "pointlab"
"""Under this name an export of ours says what tensors do not tell (`Unstored`), beside the weights."""
MAX_BYTES = 8 * 2**30
"""No released file has a tenth of it; a larger one is a mistake, and would fill the memory of a laptop."""
MAX_TEXT = 100
"""Characters of a note that are kept: enough for a date or a figure."""
MAX_NUMBER = 2**63
PROTOCOL = 2
"""Of the pickles that torch.save writes."""
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
COUNTS = (torch.int64, torch.int32, torch.int16, torch.uint8)
"""Numbers that are understood: of weights, and of counters."""


@dataclass(frozen=True)
class StoredCheckpoint:
    """Weights by their official names, without `module.`, and what the file says beside them."""

    weights: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """What an export of ours says beside them."""
    sha256: str | None = None
    """Of the file, where it is one."""


def read_checkpoint(path: Path, max_bytes: int = MAX_BYTES) -> StoredCheckpoint:
    """The weights in a `.pth` or a safetensors file, told apart by their first bytes; nothing is executed.

    Raises DataError where it is missing, too large, cut, of another kind, or asks for more than data.
    """
    content = _content(path, max_bytes)
    stored = unwrap(_parsed(content, path, max_bytes), str(path))
    _require_own_bytes(stored.weights, path, max_bytes)
    return replace(stored, sha256=sha256(content))


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
    notes, best = (_notes(content), content.get("best_metrics")) if held else ({}, None)
    notes |= {f"best {k}": v for k, v in _notes(best).items()} if isinstance(best, Mapping) else {}
    ours = content.get(OURS) if held else None
    settings = dict(ours) if isinstance(ours, Mapping) else {}
    return StoredCheckpoint(_without_module(weights, origin), notes, settings)


def _content(path: Path, max_bytes: int) -> bytes:
    """All bytes of a file of a sensible size: what is hashed is what is read."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DataError(f"{path} has {size:,} bytes.", expected=f"a checkpoint of at most {max_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", remedy="check the path") from None


def _parsed(content: bytes, path: Path, max_bytes: int) -> Any:
    if content[8:9] == b"{":  # asked first: before it stands a length, which may look like anything
        return _safetensors(content, path)
    if content.startswith(b"PK"):
        _require_checkpoint(content, path, max_bytes)
        return _unpickled(content, path)
    if content.startswith(b"\x80"):
        if content[1] > PROTOCOL:
            raise _other_kind(path, f"a pickle of protocol {content[1]}")
        return _unpickled(content, path)
    raise DataError(
        f"{path} is no checkpoint: it begins with {content[:9]!r}.",
        expected="a file that torch.save wrote, or a safetensors file",
        remedy="download it again; a web page may have been saved in its place",
    )


def _safetensors(content: bytes, path: Path) -> dict[str, Any]:
    """As a `.pth` has it: the weights under a name of their own, and our settings beside them."""
    try:
        weights = load_safetensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        said = header.get("__metadata__", {}).get(OURS)
        return {WRAPPERS[0]: weights, OURS: json.loads(said) if said else None}
    except Exception as error:  # whatever its reader trips over, the file is at fault
        raise _unreadable(path, str(error)) from None


def _require_checkpoint(content: bytes, path: Path, max_bytes: int) -> None:
    """Refuse a zip that torch.save did not write, or that unfolds to more than is sensible."""
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except Exception:  # whatever its reader trips over, the file is at fault
        raise _unreadable(path, "it is a zip that has no whole list of its members") from None
    if sum(member.file_size for member in members) > max_bytes:
        raise DataError(
            f"{path} unfolds to more than {max_bytes:,} bytes.", expected="a checkpoint of at most as many"
        )
    names = [member.filename.partition("/")[2] for member in members]
    if "constants.pkl" in names:
        raise _other_kind(path, "a TorchScript archive, which is a program")
    if "data.pkl" not in names:
        raise _other_kind(
            path, f"a zip of {', '.join(member.filename for member in members[:3]) or 'nothing'}"
        )


def _unpickled(content: bytes, path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its reader trips over, the file is at fault
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise _unreadable(path, str(error)) from None
    raise DataError(
        f"{path} asks to run {asked[1]}, and was not read further: nothing in it was executed.",
        expected="tensors, numbers, texts and plain containers",
        remedy="if you trust it, load it where it was made and save its weights alone, best as safetensors",
    )


def _require_own_bytes(weights: Mapping[str, Tensor], path: Path, max_bytes: int) -> None:
    """Refuse tensors that are larger than what is stored of them, alone or taken together."""
    plain = {name: one for name, one in weights.items() if one.layout == torch.strided and not one.is_nested}
    sizes = {name: one.numel() * one.element_size() for name, one in plain.items()}
    larger = [name for name, size in sizes.items() if size > plain[name].untyped_storage().nbytes()]
    if larger or sum(sizes.values()) > max_bytes:
        raise DataError(
            f"{path} holds {f'{larger[0]}, which' if larger else 'tensors that'} would take more memory than"
            " the file has bytes of it.",
            expected="every number of a weight to be stored",
            remedy="save contiguous copies of the weights where they were made",
        )


def _notes(content: Mapping[Any, Any]) -> dict[str, str]:
    """The single numbers and short texts among the values."""
    told = {str(name)[:MAX_TEXT]: _told(value) for name, value in content.items()}
    return {name: text for name, text in told.items() if text is not None}


def _told(value: Any) -> str | None:
    if isinstance(value, Tensor):
        is_plain = value.layout == torch.strided and not value.is_meta and value.dtype in (*FLOATS, *COUNTS)
        value = value.item() if is_plain and value.numel() == 1 else None
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}…"
    is_number = isinstance(value, float) or (isinstance(value, int) and abs(value) < MAX_NUMBER)
    return str(value) if is_number else None


def _without_module(weights: Mapping[Any, Tensor], origin: str) -> dict[str, Tensor]:
    """The weights without `module.` in their names; DataError where two names become one."""
    found = {str(name).replace("module.", ""): tensor.detach() for name, tensor in weights.items()}
    if len(found) < len(weights):
        raise DataError(f"{origin} holds weights twice, with and without module. before their names.")
    return found


def _unreadable(path: Path, why: str) -> DataError:
    own_words = why.rpartition("WeightsUnpickler error: ")[2].strip()
    reason = own_words.splitlines()[0][:200].rstrip(".") if own_words else "it ends too early"
    if "weights_only" in reason:  # advice to read it unsafely
        reason = "its pickle cannot be followed"
    return DataError(
        f"{path} is damaged: {reason}.", expected="a whole checkpoint file", remedy="download it again"
    )


def _other_kind(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} is {what}, and no checkpoint of weights.",
        expected="a file that torch.save wrote, or a safetensors file",
        remedy="load it where it was made and save its state_dict, best as safetensors",
    )


def _no_weights(origin: str, found: str) -> DataError:
    return DataError(
        f"The weights of {origin} are not where they are looked for: there is {found}.",
        expected=f"tensors by name, alone or under one of {', '.join(WRAPPERS)}",
    )
