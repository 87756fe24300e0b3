"""An official checkpoint becomes modules of ours, ready to run, with an account of every key."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel, validate
from pointlab.errors import DataError
from pointlab.official.assembly import Built
from pointlab.official.building import Unstored
from pointlab.official.layouts import LAYOUTS, Layout, LayoutName, is_recon, known_layout, recognise
from pointlab.official.reading import read_checkpoint, unwrap
from pointlab.official.renaming import Renaming, as_ours
from pointlab.official.report import KeyReport
from pointlab.official.shapes import Shapes


@dataclass(frozen=True)
class Imported:
    """What an official checkpoint holds: modules of ours in eval mode, by name, and where each key went."""

    layout: LayoutName
    modules: dict[str, nn.Module]
    configs: dict[str, StrictModel]
    report: KeyReport
    unused: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that nothing runs, by official name: kept for the way back."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the file says beside its weights: epoch, best metrics."""
    unstored: Unstored = field(default_factory=Unstored)
    """What was said of it that no tensor tells: by the caller, or by the file, as an export of ours."""

    @property
    def backbone_config(self) -> BackboneConfig:
        """Settings of `modules["backbone"]`."""
        config: Any = self.configs["backbone"]
        return config  # type: ignore[no-any-return]


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
    in the file that are none of ours.
    """
    stored = unwrap(source, "the mapping") if isinstance(source, Mapping) else read_checkpoint(Path(source))
    dropped = {key: "named to be dropped" for key in stored.weights if _is_named(key, drop)}
    weights = {key: tensor for key, tensor in stored.weights.items() if key not in dropped}
    name = recognise(weights) if layout is None else known_layout(layout)
    _require_equal_blocks(stored.weights, name)
    said: Unstored = validate(Unstored, stored.settings, "what the checkpoint says of itself")
    unstored = (unstored or Unstored()).or_else(said)
    with torch.random.fork_rng(devices=[]):
        built = LAYOUTS[name].build(Shapes(weights), unstored)
    report = KeyReport(dropped=dropped)
    _fill(built, LAYOUTS[name], weights, report)
    unused = _explain_rest(LAYOUTS[name], name, weights, report)
    for module in built.modules.values():
        module.eval()
    return Imported(name, built.modules, built.configs, report, unused, stored.notes, unstored)


def _require_equal_blocks(weights: Mapping[str, Tensor], name: LayoutName) -> None:
    """Refuse to make standard blocks of ReCon's: their shapes are equal, their arithmetic is not."""
    if is_recon(weights) and LAYOUTS[name].backbone != "recon":
        raise DataError(
            f"This is a ReCon network, and {name} has standard pre-norm blocks: equal shapes, other"
            " arithmetic.",
            expected="recon_pretrain or recon_classifier",
            remedy="leave the layout to be recognised",
        )


def _fill(built: Built, layout: Layout, weights: Mapping[str, Tensor], report: KeyReport) -> None:
    """Load every module from the file; DataError names what it lacks."""
    lacking: list[str] = []
    for part in layout.parts:
        if part.module not in built.modules:
            report.missing[f"all of {part.module}"] = "the file has none; it is not built"
            continue
        own, found = built.modules[part.module].state_dict(), {}
        for name, tensor in own.items():
            theirs, renaming = part.find(name)
            if theirs in weights:
                found[name] = _taken(theirs, weights[theirs], tensor, renaming, report)
                report.mapped[theirs] = f"{part.module}.{name}"
            elif name.endswith("num_batches_tracked"):
                found[name] = tensor
                report.missing[theirs] = "0, as in a new network"
            elif tensor.numel() == 0:
                found[name] = tensor
            else:
                lacking.append(theirs)
        built.modules[part.module].load_state_dict(found, strict=not lacking)
    if lacking:
        raise DataError(
            f"{len(lacking)} keys of {layout.title} are missing, such as {', '.join(lacking[:4])}.",
            expected="all weights of each network that the file has a part of",
            remedy="check that the file is whole, or name another layout",
        )


def _taken(theirs: str, tensor: Tensor, own: Tensor, renaming: Renaming, report: KeyReport) -> Tensor:
    """An official tensor as ours is: its shape, float32, and finite."""
    taken = as_ours(tensor, tuple(own.shape), renaming, theirs)
    if taken.dtype != own.dtype:
        report.converted[theirs] = str(taken.dtype).removeprefix("torch.")
    if not bool(torch.isfinite(taken).all()):
        raise DataError(
            f"{theirs} holds numbers that are not finite.",
            expected="a network that came to its end",
            remedy="take an earlier checkpoint",
        )
    return taken.to(own.dtype)


def _explain_rest(
    layout: Layout, name: LayoutName, weights: Mapping[str, Tensor], report: KeyReport
) -> dict[str, Tensor]:
    """The tensors that are kept and not run; DataError names keys that nothing explains."""
    rest = [key for key in weights if key not in report.mapped]
    for reasons, into in ((layout.unused, report.unused), (layout.dropped, report.dropped)):
        into.update(
            (key, why) for key in rest for beginning, why in reasons.items() if key.startswith(beginning)
        )
    unknown = [key for key in rest if key not in report.unused and key not in report.dropped]
    if unknown:
        raise DataError(
            f"{len(unknown)} keys are no part of {name}, such as {', '.join(unknown[:4])}.",
            expected="keys that the layout explains",
            remedy="name them with drop if they may be left out, or name another layout",
        )
    return {key: weights[key] for key in report.unused}


def _is_named(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)
