"""What a finished network says of pictures and of texts, one vector each: the targets of ReCon.

Features come as the network gives them, not normalised; pictures and texts are prepared by the folder's own
processor and tokenizer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pointlab.errors import DataError
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.loading import load_network, model_type_of

TOGETHER = 64
"""Pictures or texts at a time: their activations in a ViT-B fit into a gigabyte."""


@torch.no_grad()
def image_features(
    folder: Path, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> Float[Tensor, "pictures width"]:
    """Of a CLIP the projected features; of a ViT or DINOv2 the class token after the final norm.

    A ViT that brings its pooling layer says tanh(Linear(class token)), as the one that ReCon learns from.
    Raises DataError for a folder of another kind.
    """
    kind = model_type_of(folder)
    with quiet_transformers() as library:
        processor = library.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    if kind == "clip":
        network, _ = load_network(folder, lambda library: library.CLIPModel)
    elif kind in ("vit", "dinov2"):
        network, missing = load_network(folder, lambda library: library.AutoModel, spared="pooler.")
    else:
        raise _of_another_kind(folder, kind, "clip, vit or dinov2")

    def features(part: Sequence[Any]) -> Tensor:
        pixels = processor(list(part), return_tensors="pt")["pixel_values"]
        if kind == "clip":
            return _tensor(network.get_image_features(pixel_values=pixels).pooler_output)
        said = network(pixel_values=pixels)
        return _tensor(said.last_hidden_state[:, 0] if missing else said.pooler_output)

    return torch.cat([features(part) for part in _parts(pictures)])


@torch.no_grad()
def text_features(folder: Path, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
    """The projected features of a CLIP; texts that are too long for it are cut.

    Raises DataError for a folder of another kind.
    """
    if (kind := model_type_of(folder)) != "clip":
        raise _of_another_kind(folder, kind, "clip")
    network, _ = load_network(folder, lambda library: library.CLIPModel)
    with quiet_transformers() as library:
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    most = network.config.text_config.max_position_embeddings

    def features(part: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(part), padding=True, truncation=True, max_length=most, return_tensors="pt")
        return _tensor(network.get_text_features(**tokens).pooler_output)

    return torch.cat([features(part) for part in _parts(texts)])


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER))


def _tensor(said: Any) -> Tensor:
    assert isinstance(said, Tensor), "networks of transformers say tensors"
    return said


def _of_another_kind(folder: Path, kind: str, expected: str) -> DataError:
    return DataError(
        f"{folder} holds a network of the type {kind!r}.",
        expected=f"one of the type {expected}",
        remedy="choose such a teacher",
    )
