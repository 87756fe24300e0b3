"""Networks from folders of `transformers`, in float32 and eval mode, or an error that says what is wrong."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pointlab.errors import DataError
from pointlab.teachers.folders import weight_files
from pointlab.teachers.library import quiet_transformers

Choice = Callable[[Any], Any]
"""From the library to one of its classes of networks."""


def model_type_of(folder: Path) -> str:
    """What config.json says the network is, such as vit; DataError where it says nothing."""
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder} is no folder of transformers: its config.json is missing or names no model_type.",
            expected="what save_pretrained writes",
            remedy="name the folder that holds config.json and model.safetensors",
        ) from None


def load_network(
    folder: Path, choice: Choice, options: Mapping[str, bool] | None = None, spared: str | None = None
) -> tuple[Any, set[str]]:
    """The network, and names of its tensors that the folder lacks, all of which begin with `spared`.

    Raises DataError for a folder that is damaged, or lacks any other tensor.
    """
    weight_files(folder)  # safetensors or nothing: transformers would take a pickle as well
    with quiet_transformers() as library:
        try:
            network, report = choice(library).from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **(options or {}),
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"The network in {folder} cannot be loaded: {reason}", remedy="copy the folder again, whole"
            ) from error
    missing = set(report["missing_keys"])
    if lost := sorted(name for name in missing if spared is None or not name.startswith(spared)):
        raise DataError(
            f"The weights in {folder} lack {len(lost)} tensors, such as {lost[0]}.",
            expected="all weights of the network that its config.json describes",
            remedy="copy the folder again, whole",
        )
    return network.eval(), missing
