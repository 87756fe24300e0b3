"""The model card of an export: what is in the file, what is not, and what its readers must set themselves."""

import json
from collections.abc import Mapping
from typing import Any

from pointlab.official.exporting import UNUSED, Exported
from pointlab.official.layouts import LAYOUTS
from pointlab.provenance import code_version


def card_of(run: str, exported: Exported, details: Mapping[str, Any]) -> str:
    """The card in Markdown; `details` are those that the run's model is stored with."""
    backbone = details["backbone"]
    unstored = exported.unstored
    heads = {
        "Attention heads": unstored.num_heads,
        "Attention heads of the decoder": unstored.decoder_heads,
        "Attention heads of the teacher": unstored.teacher_heads,
    }
    numbers = sum(tensor.numel() for tensor in exported.weights.values())
    lines = [
        f"# {LAYOUTS[exported.layout].title}: {run}",
        "",
        f"Written by pointlab {code_version()} in the official layout `{exported.layout}`:"
        f" {len(exported.weights)} tensors, {numbers:,} numbers."
        " A `.pth` holds them under `base_model`; safetensors have them alone.",
        "",
        "## What shapes do not tell",
        "",
        f"- Patches: {backbone['num_groups']} of {backbone['group_size']} points.",
        *(f"- {what}: {number}." for what, number in heads.items() if number),
        f"- Centres near the origin are {'skipped, as' if backbone['skip_near_origin'] else 'taken, unlike'}"
        " in the reference's sampling kernel.",
        "",
        "## What is not in the file",
        "",
        *(f"- {name}: {why}." for name, why in exported.left_out.items()),
        *(f"- {module}: the run has none." for module in exported.absent if module != UNUSED),
        *(f"- {name}: {why}." for name, why in details.get("dropped", {}).items()),
    ]
    if lines[-1] == "":
        lines.append("Nothing is left out.")
    if classes := details.get("class_names"):
        lines += ["", "## Classes", "", ", ".join(classes)]
    lines += ["", "## Settings of the backbone", "", "```json", json.dumps(backbone, indent=1), "```", ""]
    return "\n".join(lines)
