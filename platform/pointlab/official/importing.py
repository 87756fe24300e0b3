"""An official checkpoint becomes modules of ours, ready to run, with an account of every key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointlab.config import validate
from pointlab.errors import ConfigError, DataError
from pointlab.objectives import HeadConfig
from pointlab.official.assembly import ReleasedConfig
from pointlab.official.building import Unstored
from pointlab.official.layouts import LAYOUTS, LayoutName, is_recon, known_layout, recognise
from pointlab.official.matching import COUNTER, TRAINED, Match, match
from pointlab.official.reading import StoredCheckpoint, read_checkpoint, unwrap
from pointlab.official.report import KeyReport
from pointlab.official.shapes import Shapes


@dataclass(frozen=True)
class Imported:
    """What an official checkpoint holds: modules of ours in eval mode, by name, and where each key went."""

    layout: LayoutName
    modules: dict[str, nn.Module]
    backbone_config: ReleasedConfig
    """Settings of `modules["backbone"]`."""
    head_config: HeadConfig | None
    """Settings of `modules["head"]`, of a classifier."""
    report: KeyReport
    unused: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that nothing runs, by official name: kept for the way back."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the file says beside its weights: epoch, best metrics."""
    unstored: Unstored = field(default_factory=Unstored)
    """What was said of it that no tensor tells: by the caller, or by the file, as an export of ours."""


@dataclass(frozen=True)
class Sketch:
    """A checkpoint whose keys are all explained, before any network is built for it."""

    layout: LayoutName
    stored: StoredCheckpoint
    weights: Mapping[str, Tensor]
    """Those that were not named to be dropped."""
    unstored: Unstored
    match: Match


def sketch_checkpoint(
    source: str | Path | Mapping[str, Any],
    layout: LayoutName | None = None,
    *,
    unstored: Unstored | None = None,
    drop: Sequence[str] = (),
) -> Sketch:
    """What `import_checkpoint` would make of these, by names and shapes alone; it raises the same errors but
    for numbers that are not finite."""
    stored = unwrap(source, "the mapping") if isinstance(source, Mapping) else read_checkpoint(Path(source))
    dropped = dict.fromkeys(_named(stored.weights, drop), "named to be dropped")
    weights = {key: tensor for key, tensor in stored.weights.items() if key not in dropped}
    name = recognise(weights) if layout is None else known_layout(layout)
    _require_equal_blocks(stored.weights, name)
    said: Unstored = validate(Unstored, stored.settings, "what the checkpoint says of itself")
    _require_agreement(unstored or Unstored(), said)
    unstored = (unstored or Unstored()).or_else(said)
    return Sketch(name, stored, weights, unstored, match(weights, name, unstored, dropped))


def import_checkpoint(
    source: str | Path | Mapping[str, Any],
    layout: LayoutName | None = None,
    *,
    unstored: Unstored | None = None,
    drop: Sequence[str] = (),
) -> Imported:
    """The networks in an official checkpoint: a `.pth` or safetensors file, or what such a file holds.

    The layout is recognised by the keys unless it is named. `drop` names keys to leave out, with `*` for any
    part of a name. Torch's generator is left as it was.

    Raises DataError for a file that cannot be read, is of no layout, or has keys that the layout does not
    explain; and always where ReCon's weights are asked to become standard blocks. ConfigError for settings
    in the file that are none of ours, for those that contradict it, and for a `drop` that no key matches.
    """
    return import_sketched(sketch_checkpoint(source, layout, unstored=unstored, drop=drop))


def import_sketched(sketch: Sketch) -> Imported:
    """The networks of a sketch, built and filled; DataError for numbers that are not finite."""
    with torch.random.fork_rng(devices=[]):
        built = LAYOUTS[sketch.layout].build(Shapes(sketch.weights), sketch.unstored)
    for name, module in built.modules.items():
        _fill(module, sketch.match.keys[name], sketch.weights)
        module.eval()
    return Imported(
        sketch.layout,
        built.modules,
        built.backbone,
        built.head,
        sketch.match.report,
        {key: sketch.weights[key].clone() for key in sketch.match.report.unused},
        sketch.stored.notes,
        sketch.unstored,
    )


def _require_agreement(asked: Unstored, said: Unstored) -> None:
    """Refuse heads that a file of ours says otherwise; how clouds are grouped may be chosen anew."""
    for name in ("num_heads", "decoder_heads", "teacher_heads"):
        mine, its = getattr(asked, name), getattr(said, name)
        if None not in (mine, its) and mine != its:
            raise ConfigError(
                f"unstored.{name} is {mine}, but the file says that it was trained with {its}.",
                remedy=f"leave unstored.{name} out",
            )


def _require_equal_blocks(weights: Mapping[str, Tensor], name: LayoutName) -> None:
    """Refuse to make standard blocks of ReCon's: their shapes are equal, their arithmetic is not."""
    if is_recon(weights) and LAYOUTS[name].backbone != "recon":
        raise DataError(
            f"This is a ReCon network, and {name} has standard pre-norm blocks: equal shapes, other"
            " arithmetic.",
            expected="recon_pretrain or recon_classifier",
            remedy="leave the layout to be recognised",
        )


def _fill(module: nn.Module, keys: Mapping[str, str], weights: Mapping[str, Tensor]) -> None:
    """Load a module from the file; what the file does not tell is a counter, or has no numbers."""
    found = {}
    for name, own in module.state_dict().items():
        if name in keys:
            found[name] = _finite(keys[name], weights[keys[name]].to(own.dtype)).reshape(own.shape)
        else:
            found[name] = torch.tensor(TRAINED) if name.endswith(COUNTER) else own
    module.load_state_dict(found)


def _finite(key: str, tensor: Tensor) -> Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise DataError(
            f"{key} holds numbers that are not finite.",
            expected="a network that came to its end",
            remedy="take an earlier checkpoint",
        )
    return tensor


def _named(keys: Mapping[str, Tensor], patterns: Sequence[str]) -> list[str]:
    """The keys that some pattern matches; ConfigError for one that matches none."""
    matchers = [re.compile(re.escape(pattern).replace(r"\*", ".*")) for pattern in patterns]
    for pattern, matcher in zip(patterns, matchers, strict=True):
        if not any(matcher.fullmatch(key) for key in keys):
            raise ConfigError(
                f"drop names {pattern!r}, which no key matches.",
                expected="a key of the file, with * for any part of it",
            )
    return [key for key in keys if any(matcher.fullmatch(key) for matcher in matchers)]
