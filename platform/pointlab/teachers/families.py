"""The families of networks in folders of `transformers`, and what is taken of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
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
class ImageEncoder:
    """Which network of a `model_type` gives a feature of a picture, and how."""

    network: Choice
    features: Callable[[Any, Any], Any]
    """From the network and pixels."""
    width: Callable[[Any], int]
    """Channels of a feature, by the config of the network."""


def _projected(network: Any, pixels: Any) -> Any:
    return network.get_image_features(pixel_values=pixels).pooler_output


def _pooled(network: Any, pixels: Any) -> Any:
    output = network(pixel_values=pixels)
    return output.last_hidden_state[:, 0] if output.pooler_output is None else output.pooler_output


def _averaged(network: Any, pixels: Any) -> Any:
    return network(pixel_values=pixels).pooler_output.flatten(1)


IMAGE_ENCODERS = {
    "clip": ImageEncoder(lambda library: library.CLIPModel, _projected, lambda config: config.projection_dim),
    "vit": ImageEncoder(lambda library: library.ViTModel, _pooled, lambda config: config.hidden_size),
    "dinov2": ImageEncoder(lambda library: library.Dinov2Model, _pooled, lambda config: config.hidden_size),
    "resnet": ImageEncoder(
        lambda library: library.ResNetModel, _averaged, lambda config: config.hidden_sizes[-1]
    ),
}
"""By the `model_type`, what can be an image teacher. Of a CLIP its projected features; of a ViT that brings
its pooling layer tanh(Linear(class token)), as of the one that ReCon learns from, and of one without, as of
DINOv2, the class token after the final norm; of a ResNet the mean of its last map."""


@dataclass(frozen=True)
class MapEncoder:
    """Which network of a `model_type` gives a map of a picture, and how."""

    network: Choice
    options: Mapping[str, bool]
    maps: Callable[[Any, Any], Any]
    """From the network and pixels, [batch, width, rows, columns]."""
    width: Callable[[Any], int]
    """Channels of a map, by the config of the network."""
    has_patches: bool = True
    """Whether pictures must divide into patches of `config.patch_size` pixels."""


def _patch_tokens(network: Any, pixels: Any) -> Any:
    return network(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state


def _normed_patch_tokens(network: Any, pixels: Any) -> Any:
    tower = getattr(network, "vision_model", network)  # newer networks are their own tower
    return tower.post_layernorm(_patch_tokens(network, pixels))


def _dinov2_tokens(network: Any, pixels: Any) -> Any:
    return network(pixel_values=pixels).last_hidden_state  # it always fits its positions to the picture


def _as_grid(tokens: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Tokens without the class token, which comes first, as a map."""

    def maps(network: Any, pixels: Any) -> Any:
        rows = pixels.shape[2] // network.config.patch_size
        return tokens(network, pixels)[:, 1:].transpose(1, 2).unflatten(2, (rows, -1))

    return maps


_HIDDEN_SIZE = attrgetter("hidden_size")
MAP_ENCODERS = {
    "vit": MapEncoder(FAMILIES["vit"].network, NO_POOLER, _as_grid(_patch_tokens), _HIDDEN_SIZE),
    "dinov2": MapEncoder(FAMILIES["dinov2"].network, {}, _as_grid(_dinov2_tokens), _HIDDEN_SIZE),
    **{
        name: MapEncoder(FAMILIES[name].network, {}, _as_grid(_normed_patch_tokens), _HIDDEN_SIZE)
        for name in ("clip", "clip_vision_model")
    },
    "resnet": MapEncoder(
        IMAGE_ENCODERS["resnet"].network,
        {},
        lambda network, pixels: network(pixel_values=pixels).last_hidden_state,
        IMAGE_ENCODERS["resnet"].width,
        has_patches=False,
    ),
}
"""By the `model_type`, what can say maps of pictures: the last map of a ResNet, 1/32 of the picture along
each side; of a ViT, a DINOv2 and the picture tower of a CLIP the tokens of patches after the final norm,
where that of a CLIP applies its norm to the class token alone."""
TEXT_ENCODERS = ("clip",)
"""What can be a text teacher, by its projected features of texts."""
POOLER = "pooler."
"""Begins the names of the layer that a folder may lack."""
