"""The model card of an export: what is in the file, what is not, and what its readers must set themselves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointlab.errors import PointlabError
from pointlab.official.exporting import UNUSED, Exported, write_aside
from pointlab.official.layouts import LAYOUTS
from pointlab.provenance import code_version

SIGNED = "Written by pointlab"


def card_of(run: str, exported: Exported, details: Mapping[str, Any]) -> str:
    """The card in Markdown; `details` are those that the run's model is stored with."""
    backbone = details["backbone"]
    unstored, changes = exported.unstored, details.get("changes", [])
    heads = {
        "Attention heads": unstored.num_heads,
        "Attention heads of the decoder": unstored.decoder_heads,
        "Attention heads of the teacher": unstored.teacher_heads,
    }
    numbers = sum(tensor.numel() for tensor in exported.weights.values())
    lines = [
        f"# {LAYOUTS[exported.layout].title}: {run}",
        "",
        f"{SIGNED} {code_version()} in the official layout `{exported.layout}`:"
        f" {len(exported.weights)} tensors, {numbers:,} numbers."
        " A `.pth` holds them under `base_model`; safetensors have them alone.",
        "",
        "## What shapes do not tell",
        "",
        *([f"- Clouds in training: of {details['num_points']} points."] if "num_points" in details else []),
        f"- Patches: {backbone['num_groups']} of {backbone['group_size']} points.",
        *(f"- {what}: {number}." for what, number in heads.items() if number),
        f"- Centres near the origin are {'skipped, as' if backbone['skip_near_origin'] else 'taken, unlike'}"
        " in the reference's sampling kernel.",
        "",
        "## What is not in the file",
        "",
        *(f"- {name}: {why}." for name, why in exported.left_out.items()),
        *(f"- {module}: the run has none." for module in exported.absent if module != UNUSED),
        *(f"- {_told(row)}" for row in changes if row["fate"] == "dropped"),
    ]
    if lines[-1] == "":
        lines.append("Nothing is left out.")
    lines += _origins(details)
    lines += ["", "## Settings of the backbone", "", "```json", json.dumps(backbone, indent=1), "```", ""]
    return "\n".join(lines)


def _origins(details: Mapping[str, Any]) -> list[str]:
    """The parts on what it comes from, as far as there is something to say: file, teachers, classes."""
    lines: list[str] = []
    if kept := [row for row in details.get("changes", []) if row["fate"] != "dropped"]:
        lines += ["", "## What is otherwise than in the file that it came from", ""]
        lines += [f"- {_told(row)}" for row in kept]
    if teachers := {name: told for name, told in details.items() if _is_teacher(told)}:
        lines += ["", "## What it learned from", ""]
        lines += [f"- {name}: weights of the sha256 {told['sha256']}." for name, told in teachers.items()]
    if classes := details.get("class_names"):
        lines += ["", "## Classes", "", ", ".join(classes)]
    return lines


def card_path(checkpoint: Path) -> Path:
    """Where the card of an export lies; PointlabError where a file of somebody else does."""
    path = checkpoint.with_name(f"{checkpoint.name}.md")
    if path.exists() and (path.is_dir() or SIGNED.encode() not in path.read_bytes()):
        raise PointlabError(
            f"{path} is there, and no card of ours.",
            expected="room for the card beside the checkpoint",
            remedy="choose another --to, or move that file",
        )
    return path


def write_card(card: str, path: Path) -> None:
    """Write it; PointlabError where that cannot be."""
    write_aside(path, lambda unfinished: unfinished.write_text(card))


def _is_teacher(told: Any) -> bool:
    """Whether this detail of a model is the identity of a network that it learned from."""
    return isinstance(told, Mapping) and "sha256" in told


def _told(row: Mapping[str, Any]) -> str:
    count = int(row["keys"])
    return f"{count} {'key' if count == 1 else 'keys'} {row['fate']}: {row['meaning']}."
