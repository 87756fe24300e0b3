"""Networks of ours in the layout that others' code reads, key by key as it was released.

Works on stored weights, without building anything: what was imported goes back with equal bytes, and what
was trained here takes its place in the layout of its kind.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pointlab.backbones import BackboneConfig
from pointlab.errors import ConfigError, DataError, PointlabError
from pointlab.official.building import Unstored
from pointlab.official.importing import Imported
from pointlab.official.layouts import LAYOUTS, LayoutName
from pointlab.official.reading import OURS
from pointlab.official.renaming import Part

UNUSED = "unused"
"""Name of the stored module that holds tensors by their official names."""
OF_BACKBONES = ("num_groups", "group_size", "num_heads", "skip_near_origin")
"""Settings of a backbone that no tensor tells."""
NO_PLACE = {
    (
        "point_mae_pretrain",
        "class_token",
    ): "this layout has no class token, and masked pretraining trains none",
    ("point_mae_pretrain", "class_position"): "likewise",
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

    `unstored` is what `backbone` does not tell, of a decoder or a teacher. Raises DataError where a backbone
    of this kind, or one of its weights, has no place in the layout.
    """
    known = {UNUSED, *(part.module for part in LAYOUTS[layout].parts)}
    strange = sorted(states.keys() - known)
    if backbone.kind != LAYOUTS[layout].backbone or strange:
        raise DataError(
            f"{', '.join(strange) or f'A backbone of kind {backbone.kind}'} has no place in {layout}.",
            expected=f"a {LAYOUTS[layout].backbone}, perhaps with {', '.join(sorted(known - {'backbone'}))}",
            remedy="choose the layout of its kind",
        )
    weights, left_out = dict(states.get(UNUSED, {})), {}
    for part in LAYOUTS[layout].parts:
        for name, tensor in states.get(part.module, {}).items():
            if why := NO_PLACE.get((layout, name)):
                left_out[f"{part.module}.{name}"] = why
            elif tensor.numel():
                theirs, placed = _placed(part, name, tensor)
                weights[theirs] = placed
    absent = tuple(part.module for part in LAYOUTS[layout].parts if part.module not in states)
    told = Unstored(**{name: getattr(backbone, name) for name in OF_BACKBONES if hasattr(backbone, name)})
    return Exported(layout, weights, left_out, absent, told.or_else(unstored or Unstored()))


def write_checkpoint(exported: Exported, path: Path) -> None:
    """Write a `.pth` or safetensors file that others' code reads; what its tensors do not tell lies beside
    them, where others do not look.

    Raises ConfigError for another suffix, PointlabError where the file cannot be written.
    """
    require_suffix(path)
    said = exported.unstored.said
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".pth":
            torch.save({"base_model": exported.weights, "epoch": 0, "metrics": {}, OURS: said}, path)
        else:
            save_file(exported.weights, path, metadata={"format": "pt", OURS: json.dumps(said)})
    except (OSError, RuntimeError) as error:  # torch and safetensors have errors of their own for a full disk
        raise PointlabError(f"{path} cannot be written: {error}", remedy="choose another place") from None


def require_suffix(path: Path) -> None:
    """Return if the name is one that `write_checkpoint` takes; else ConfigError."""
    if path.suffix not in (".pth", ".safetensors"):
        raise ConfigError(
            f"The file is to be called {path.name}.", "a name that ends in .pth or .safetensors"
        )


def _placed(part: Part, name: str, tensor: Tensor) -> tuple[str, Tensor]:
    theirs, renaming = part.find(name)
    placed = tensor.detach().cpu().reshape(renaming.their_shape(tuple(tensor.shape))).contiguous()
    return theirs, placed


def tree_of(tensors: Mapping[str, Tensor]) -> nn.Module:
    """A module whose weights are these, by these dotted names, so that they are stored like any other."""
    root = nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        holder = root
        for step in path:
            if step not in dict(holder.named_children()):
                holder.add_module(step, nn.Module())
            holder = holder.get_submodule(step)
        holder.register_buffer(leaf, tensor)
    return root
