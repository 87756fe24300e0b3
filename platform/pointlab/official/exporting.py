"""Networks of ours in the layout that others' code reads, key by key as it was released.

Works on stored weights, without building anything: what was imported goes back with equal bytes, and what
was trained here takes its place in the layout of its kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.official.importing import Imported
from pointlab.official.layouts import LAYOUTS, LayoutName
from pointlab.official.renaming import Part

UNUSED = "unused"
"""Name of the stored module that holds tensors by their official names."""
NO_PLACE = {
    (
        "point_mae_pretrain",
        "class_token",
    ): "this layout has no class token, and masked pretraining trains none",
    ("point_mae_pretrain", "class_position"): "likewise",
}


@dataclass(frozen=True)
class Exported:
    """Tensors by official name; our weights that found no place there, and why; modules it does without."""

    weights: dict[str, Tensor]
    left_out: dict[str, str]
    absent: tuple[str, ...]


def export_checkpoint(imported: Imported) -> Exported:
    """What was imported, in the layout that it had."""
    states = {name: module.state_dict() for name, module in imported.modules.items()}
    kind = imported.backbone_config.kind
    return export_weights({**states, UNUSED: imported.unused}, imported.layout, kind)


def export_weights(states: Mapping[str, Mapping[str, Tensor]], layout: LayoutName, backbone: str) -> Exported:
    """Weights by module and name of ours, such as a finished run has stored them, in an official layout.

    Raises DataError where a backbone of this kind, or one of its weights, has no place in it.
    """
    known = {UNUSED, *(part.module for part in LAYOUTS[layout].parts)}
    strange = sorted(states.keys() - known)
    if backbone != LAYOUTS[layout].backbone or strange:
        raise DataError(
            f"{', '.join(strange) or f'A backbone of kind {backbone}'} has no place in {layout}.",
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
    return Exported(weights, left_out, absent)


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
