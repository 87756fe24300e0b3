"""The families of networks in folders of `transformers`, and what is taken of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointlab.teachers.loading import Choice


@dataclass(frozen=True)
class Family:
    """How the networks of one `model_type` are made, and what their final norm is called."""

    network: Choice
    norm: str | None
    """None where blocks end in a norm of their own, as BERT's do."""
    options: Mapping[str, bool] = field(default_factory=dict)


NO_POOLER = {"add_pooling_layer": False}
FAMILIES = {
    "vit": Family(lambda library: library.ViTModel, "layernorm", NO_POOLER),
    "dinov2": Family(lambda library: library.Dinov2Model, "layernorm"),
    "clip": Family(lambda library: library.CLIPVisionModel, "post_layernorm"),
    "clip_vision_model": Family(lambda library: library.CLIPVisionModel, "post_layernorm"),
    "bert": Family(lambda library: library.BertModel, None, NO_POOLER),
}
"""By the `model_type` of a folder's config.json: ViT, DINOv2, the picture tower of CLIP, BERT."""


@dataclass(frozen=True)
class Sighted:
    """Which network of a `model_type` says a vector of a picture, and how: from its pixels to its output."""

    network: Choice
    says: Callable[[Any, Any], Any]
    width: Callable[[Any], int]
    """Of its config."""


def _projected(network: Any, pixels: Any) -> Any:
    return network.get_image_features(pixel_values=pixels).pooler_output


def _pooled(network: Any, pixels: Any) -> Any:
    said = network(pixel_values=pixels)
    return said.last_hidden_state[:, 0] if said.pooler_output is None else said.pooler_output


def _averaged(network: Any, pixels: Any) -> Any:
    return network(pixel_values=pixels).pooler_output.flatten(1)


SIGHTED = {
    "clip": Sighted(lambda library: library.CLIPModel, _projected, lambda config: config.projection_dim),
    "vit": Sighted(lambda library: library.ViTModel, _pooled, lambda config: config.hidden_size),
    "dinov2": Sighted(lambda library: library.Dinov2Model, _pooled, lambda config: config.hidden_size),
    "resnet": Sighted(lambda library: library.ResNetModel, _averaged, lambda config: config.hidden_sizes[-1]),
}
"""CLIP says its projected features; a ViT that brings its pooling layer tanh(Linear(class token)), as the one
that ReCon learns from, and one without, like DINOv2, the class token after the final norm; a ResNet the mean
of its last map."""
READING = ("clip",)
"""Those that say a vector of a text."""
POOLER = "pooler."
"""Begins the names of the layer that a folder may lack."""
