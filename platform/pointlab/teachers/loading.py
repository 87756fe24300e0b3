"""Networks from folders of `transformers`, in float32 and eval mode, or an error that says what is wrong.

The weights are read here, from the files that the hash is of, and handed to the library: left to itself it
would follow whatever else a folder names.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pointlab.errors import DataError
from pointlab.teachers.folders import settings_of, weight_files
from pointlab.teachers.library import quiet_transformers

Choice = Callable[[Any], Any]
"""From the library to one of its classes of networks."""
LOADED_FROM_HERE = {"local_files_only": True, "trust_remote_code": False}
"""How anything is loaded: what a folder lacks is not looked for elsewhere, and its code is never run."""
LONGEST_REASON = 200
"""Characters of what the library says went wrong: it may list hundreds of names in one line."""
FAILURES = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    ImportError,
    SafetensorError,
)
"""What the library raises for files that are damaged or none of its own."""
REDIRECTING = (
    "transformers_weights",  # other weights
    "configuration_files",  # another config.json, by the library's version
    "attn_implementation",  # code of a hub's
    "experts_implementation",
    "quantization_config",  # other arithmetic
    "fusion_config",
)
"""Entries of config.json by which the library would make another network than that of the hashed weights."""


def load_network(
    folder: Path, choice: Choice, options: Mapping[str, bool] | None = None, spared: str | None = None
) -> tuple[Any, set[str]]:
    """The network, and names of its tensors that the folder lacks, all of which begin with `spared`.

    Raises DataError for a folder that is damaged, lacks any other tensor, has more blocks than its
    config.json tells, or asks for anything but its own weights.
    """
    _require_plain(folder)
    with quiet_transformers() as library:
        kind = choice(library)
        try:
            network, report = kind.from_pretrained(
                None,
                config=kind.config_class.from_pretrained(folder, **LOADED_FROM_HERE),
                state_dict=_weights_of(folder),
                dtype=torch.float32,
                output_loading_info=True,
                **LOADED_FROM_HERE,
                **(options or {}),
            )
        except FAILURES as error:
            raise damaged(folder, "network", error) from error
    missing = set(report["missing_keys"])
    if lost := sorted(name for name in missing if spared is None or not name.startswith(spared)):
        raise DataError(
            f"The weights in {folder} lack {len(lost)} tensors, such as {lost[0]}.",
            expected="all weights of the network that its config.json describes",
            remedy="copy the folder again, whole",
        )
    _require_all_blocks(folder, network, report["unexpected_keys"])
    return network.eval(), missing


def damaged(folder: Path, what: str, error: Exception) -> DataError:
    """What to raise where the library could not make sense of this part of a folder."""
    reason = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return DataError(
        f"The {what} in {folder} cannot be loaded: {reason}", remedy="copy the folder again, whole"
    )


def _weights_of(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for path in weight_files(folder) for name, tensor in load_file(path).items()}


def _require_plain(folder: Path) -> None:
    settings = settings_of(folder)
    parts = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    if found := [name for name in REDIRECTING if any(part.get(name) is not None for part in parts)]:
        raise DataError(
            f"The config.json of {folder} sets {', '.join(found)}, by which transformers would make another"
            " network than that of the weights.",
            expected="a network as it was trained, in float32 or another plain type",
            remedy=f"take {found[0]} out of config.json, or save the network again without it",
        )


def _require_all_blocks(folder: Path, network: nn.Module, unused: set[str]) -> None:
    """DataError where the folder has blocks that the network has not; heads may be left out."""
    own = f"{getattr(network, 'base_model_prefix', '')}."
    lists = tuple(f"{path}." for path, part in network.named_modules() if isinstance(part, nn.ModuleList))
    if more := sorted(name for name in unused if name.removeprefix(own).startswith(lists)):
        raise DataError(
            f"The weights in {folder} have {len(more)} tensors of blocks that its config.json does not"
            f" describe, such as {more[0]}.",
            expected="the config.json that the weights were saved with",
            remedy="copy the folder again, whole",
        )
