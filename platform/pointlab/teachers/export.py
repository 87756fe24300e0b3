"""A trained network as the files of an ordinary folder of `transformers`, with a card."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from pointlab.teachers.card import Account, card
from pointlab.teachers.folders import hash_of
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.pictures import preprocessor_settings
from pointlab.teachers.settings import ClipConfig, NetworkConfig


@dataclass(frozen=True)
class Exported:
    """File name to content, and the hash that the weights go by."""

    files: dict[str, bytes]
    sha256: str


def export(network: nn.Module, config: NetworkConfig, tokenizer: Any, account: Account) -> Exported:
    """The folder of `network`: equal weights and settings make equal files; `tokenizer` may be None."""
    processor = "CLIPImageProcessor" if isinstance(config, ClipConfig) else "ViTImageProcessor"
    preparation = preprocessor_settings(config.picture_size, processor)
    with tempfile.TemporaryDirectory() as scratch, quiet_transformers():
        folder, saved = Path(scratch), cast(Any, network)
        saved.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(preparation, indent=1) + "\n")
        digest = hash_of(folder)
        (folder / "README.md").write_text(card(config, account, digest), encoding="utf-8")
        return Exported({path.name: path.read_bytes() for path in sorted(folder.iterdir())}, digest)
