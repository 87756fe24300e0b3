"""By what a folder's network and its features are told apart, beyond the weights.

Equal weights are another function with another number of heads, or after another preparation of pictures.
"""

import hashlib
import json
from pathlib import Path

from pointlab.errors import DataError
from pointlab.teachers.folders import hash_of, settings_of

BOOKKEEPING = {
    "_name_or_path",
    "architectures",
    "dtype",
    "finetuning_task",
    "id2label",
    "label2id",
    "torch_dtype",
    "transformers_version",
}
"""Entries of config.json that do not change what blocks compute."""
PREPARATION = ("preprocessor_config.json", "processor_config.json", "*token*.json", "vocab.*", "merges.txt")
"""The files that say how pictures and texts are prepared for a network."""


def architecture_of(config: bytes | Path) -> str:
    """A hash of what config.json (its content, or a folder with it) says of the network's arithmetic.

    Raises DataError where it cannot be understood.
    """
    if isinstance(config, Path):
        settings = settings_of(config)
    else:
        try:
            settings = dict(json.loads(config))
        except (ValueError, TypeError):
            raise DataError("A config.json is damaged.", remedy="copy its folder again") from None
    counting = {name: value for name, value in settings.items() if name not in BOOKKEEPING}
    return hashlib.sha256(json.dumps(counting, sort_keys=True).encode()).hexdigest()


def identity_of(folder: Path) -> str:
    """A hash of all that decides the features of the folder's network: weights, architecture, preparation.

    For caches of them. Where a folder lies and what its card tells do not count.
    """
    names = sorted({path.name for pattern in PREPARATION for path in folder.glob(pattern)})
    lines = [f"{hash_of(folder)}  weights", f"{architecture_of(folder)}  architecture"]
    lines += [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
