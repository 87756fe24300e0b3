"""Networks of ours in the layout that others' code reads, key by key as it was released.

Works on stored weights, without building anything: what was imported goes back with equal bytes, and what
was trained here takes its place in the layout of its kind.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pointlab.backbones import BackboneConfig
from pointlab.errors import ConfigError, DataError, PointlabError
from pointlab.official.building import Unstored
from pointlab.official.importing import Imported
from pointlab.official.layouts import LAYOUTS, Layout, LayoutName
from pointlab.official.matching import match
from pointlab.official.reading import OURS
from pointlab.official.renaming import Part

UNUSED = "unused"
"""Name of the stored module that holds tensors by their official names."""
OF_BACKBONES = ("num_groups", "group_size", "num_heads", "skip_near_origin")
"""Settings of a backbone that no tensor tells."""
NO_PLACE = {
    ("point_mae_pretrain", name): "this layout has no class token, trained or not"
    for name in ("class_token", "class_position")
}


@dataclass(frozen=True)
class Exported:
    """A network of ours in an official layout."""

    layout: LayoutName
    weights: dict[str, Tensor]
    """By official name."""
    left_out: dict[str, str]
    """Weights of ours that found no place there, and why."""
    absent: tuple[str, ...]
    """Modules that it does without."""
    unstored: Unstored
    """What the tensors do not tell."""


def export_checkpoint(imported: Imported) -> Exported:
    """What was imported, in the layout that it had."""
    states = {name: module.state_dict() for name, module in imported.modules.items()}
    states[UNUSED] = imported.unused
    return export_weights(states, imported.layout, imported.backbone_config, imported.unstored)


def export_weights(
    states: Mapping[str, Mapping[str, Tensor]],
    layout: LayoutName,
    backbone: BackboneConfig,
    unstored: Unstored | None = None,
) -> Exported:
    """Weights by module and name of ours, such as a finished run has stored them, in an official layout.

    `unstored` is what `backbone` does not tell, of a decoder or a teacher. Raises DataError where the layout
    is another network's: a part has no place in it, or what it would hold is not what its readers build.
    """
    known = {UNUSED, *(part.module for part in LAYOUTS[layout].parts)}
    strange = sorted(states.keys() - known)
    if backbone.kind != LAYOUTS[layout].backbone or strange:
        what = ", ".join(strange) or f"A backbone of kind {backbone.kind}"
        raise _unsuitable(LAYOUTS[layout], f"{what} has no place in {layout}.")
    weights, left_out = dict(states.get(UNUSED, {})), {}
    for part in LAYOUTS[layout].parts:
        for name, tensor in sorted(states.get(part.module, {}).items()):  # as stored, they have no order
            if why := NO_PLACE.get((layout, name)):
                left_out[f"{part.module}.{name}"] = why
            else:
                theirs, placed = _placed(layout, part, name, tensor)
                weights[theirs] = placed
    absent = tuple(part.module for part in LAYOUTS[layout].parts if part.module not in states)
    told = Unstored(**{name: getattr(backbone, name) for name in OF_BACKBONES if hasattr(backbone, name)})
    exported = Exported(layout, weights, left_out, absent, told.or_else(unstored or Unstored()))
    _require_read_back(exported, backbone)
    return exported


def write_checkpoint(exported: Exported, path: Path) -> None:
    """Write a `.pth` or safetensors file that others' code reads; what its tensors do not tell lies beside
    them, where others do not look.

    Raises ConfigError for another suffix, PointlabError where the file cannot be written; what was there
    before then stays.
    """
    require_suffix(path)
    said = exported.unstored.said
    if path.suffix == ".pth":
        content = {"base_model": exported.weights, "epoch": 0, "metrics": {}, OURS: said}
        write_aside(path, lambda unfinished: torch.save(content, unfinished))
    else:
        metadata = {"format": "pt", OURS: json.dumps(said)}
        write_aside(path, lambda unfinished: save_file(exported.weights, unfinished, metadata=metadata))


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path` and give it that name once it is whole; else PointlabError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:  # whose errors a full disk comes as
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise PointlabError(f"{path} cannot be written: {error}.", remedy="choose another place") from None


def require_new(path: Path, *, overwrite: bool) -> None:
    """Return if `write_checkpoint` takes this name, and nothing would be lost; else ConfigError."""
    require_suffix(path)
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(
            f"There is {'a folder' if path.is_dir() else 'a file'} {path} already.",
            remedy="choose another name" + ("" if path.is_dir() else ", or give --overwrite"),
        )


def require_suffix(path: Path) -> None:
    """Return if the name is one that `write_checkpoint` takes; else ConfigError."""
    if path.suffix not in (".pth", ".safetensors"):
        raise ConfigError(
            f"The file is to be called {path.name}.", "a name that ends in .pth or .safetensors"
        )


def _placed(layout: LayoutName, part: Part, name: str, tensor: Tensor) -> tuple[str, Tensor]:
    try:
        theirs, renaming = part.find(name)
    except DataError as error:
        raise _unsuitable(LAYOUTS[layout], error.found) from None
    placed = tensor.detach().cpu().reshape(renaming.their_shape(tuple(tensor.shape))).contiguous()
    return theirs, placed


def _require_read_back(exported: Exported, backbone: BackboneConfig) -> None:
    """Return if a reader that goes by the tensors' sizes comes to these keys and to this backbone."""
    layout = LAYOUTS[exported.layout]
    try:
        read = match(exported.weights, exported.layout, exported.unstored, {}).built.backbone
    except PointlabError as error:
        raise _unsuitable(layout, error.found) from None
    free = {"drop_path_rate", "class_token"}  # of no tensor; told by its keys
    mine, theirs = backbone.model_dump(exclude=free), read.model_dump(exclude=free)
    differing = [name for name in theirs if mine.get(name) != theirs[name]]
    if differing:
        name = differing[0]
        raise _unsuitable(
            layout, f"The backbone's {name} is {mine.get(name)}, and readers would take {theirs[name]}."
        )


def _unsuitable(layout: Layout, found: str) -> DataError:
    return DataError(
        f"{found} So it is not to be written as {layout.title}.",
        expected=layout.wants,
        remedy="choose the layout of its kind, or transfer such a network: an import without class token gets"
        " one by fresh_class_token: true",
    )
