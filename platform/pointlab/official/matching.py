"""Which of our tensors each key of an official checkpoint becomes: told by names and shapes alone.

Nothing is computed and hardly any memory taken (networks are built on torch's device without storage), so
that a file is known to be what it should be before a network is built for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pointlab.errors import DataError
from pointlab.official.assembly import Built
from pointlab.official.building import Unstored
from pointlab.official.layouts import LAYOUTS, LayoutName, require_explained
from pointlab.official.reading import COUNTS, FLOATS
from pointlab.official.renaming import Part, require_shape
from pointlab.official.report import KeyReport
from pointlab.official.shapes import Shapes

COUNTER = "num_batches_tracked"
TRAINED = 1000
"""Batches that a BatchNorm is said to have seen where a file does not tell: so many that its statistics are
kept, where those of a new one give way to the first batch."""


@dataclass(frozen=True)
class Match:
    """Networks without storage, and where each of their tensors is in the file."""

    built: Built
    keys: dict[str, dict[str, str]]
    """By module and name of ours, the official key; what the file does not tell is left out."""
    report: KeyReport


@dataclass
class _Found:
    """What is known so far."""

    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)


def match(
    weights: Mapping[str, Tensor], name: LayoutName, unstored: Unstored, dropped: Mapping[str, str]
) -> Match:
    """Every key of `weights`, which are without those `dropped`, in its place.

    Raises DataError for keys that the layout does not explain or that are missing, and for tensors of
    another shape or kind than they should have; ConfigError for settings that contradict the file.
    """
    layout = LAYOUTS[name]
    require_explained([key for key in weights if not layout.explains(key)], name)
    for key, tensor in weights.items():
        _require_plain(key, tensor)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        built = layout.build(Shapes(weights), unstored)
    found = _Found()
    for part in layout.parts:
        if part.module in built.modules:
            _place(part, built.modules[part.module].state_dict(), weights, found)
    if found.lacking:
        raise DataError(
            f"{len(found.lacking)} keys of {layout.title} are missing, such as"
            f" {', '.join(found.lacking[:4])}.",
            expected="all weights of each network that the file has a part of",
            remedy="check that the file is whole, or name another layout",
        )
    absent = [part.module for part in layout.parts if part.module not in built.modules]
    return Match(built, found.keys, _account(name, weights, found, absent, dropped))


def _place(part: Part, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], found: _Found) -> None:
    """Find each of a module's tensors in the file."""
    places = found.keys[part.module] = {}
    for name, tensor in own.items():
        theirs, renaming = part.find(name)
        if theirs in weights:
            require_shape(weights[theirs], tuple(tensor.shape), renaming, theirs)
            _require_kind(theirs, weights[theirs], tensor.dtype, found.converted)
            places[name] = theirs
            found.mapped[theirs] = f"{part.module}.{name}"
        elif name.endswith(COUNTER):
            found.missing[theirs] = f"taken as {TRAINED:,}, those of a trained network"
        else:
            found.lacking.append(theirs)


def _account(
    name: LayoutName,
    weights: Mapping[str, Tensor],
    found: _Found,
    absent: Iterable[str],
    dropped: Mapping[str, str],
) -> KeyReport:
    """The report; DataError names keys that nothing explains."""
    layout, rest = LAYOUTS[name], [key for key in weights if key not in found.mapped]
    unused, left = _by_beginning(rest, layout.unused), _by_beginning(rest, layout.dropped)
    require_explained([key for key in rest if key not in unused and key not in left], name)
    return KeyReport(
        mapped=found.mapped,
        unused=unused,
        dropped={**dropped, **left},
        missing=found.missing,
        absent=dict.fromkeys(absent, "the file has none; it is not built"),
        converted=found.converted,
    )


def _by_beginning(keys: Iterable[str], reasons: Mapping[str, str]) -> dict[str, str]:
    return {key: why for key in keys for beginning, why in reasons.items() if key.startswith(beginning)}


def _require_plain(key: str, tensor: Tensor) -> None:
    """Refuse what is no plain row of numbers, before any of it is asked for."""
    kind = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
    if tensor.is_meta or kind != "strided" or tensor.dtype not in (*FLOATS, *COUNTS):
        stored = "without its numbers" if tensor.is_meta else f"as {kind} {_kind(tensor)}"
        raise DataError(
            f"{key} is stored {stored}.",
            expected=f"plain tensors of {', '.join(map(_name, FLOATS))}; integers as counters",
            remedy="convert it where it was made, or name it with drop if it may be left out",
        )


def _require_kind(key: str, tensor: Tensor, own: torch.dtype, converted: dict[str, str]) -> None:
    """Note a tensor of another precision than its place; refuse one of another kind of number."""
    if tensor.dtype not in (FLOATS if own.is_floating_point else COUNTS):
        raise DataError(
            f"{key} is stored as {_kind(tensor)}.",
            expected=f"one of {', '.join(map(_name, FLOATS if own.is_floating_point else COUNTS))}",
            remedy="take a checkpoint that is not quantised",
        )
    if tensor.dtype != own:
        converted[key] = f"stored as {_kind(tensor)}, here {_name(own)}"


def _kind(tensor: Tensor) -> str:
    return _name(tensor.dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
