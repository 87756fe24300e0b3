"""Networks of `transformers` from the sizes in our settings, their weights drawn from torch's generator."""

import math
from typing import Any

import torch
from torch import nn

from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.settings import ClipConfig, ResNetConfig, TowerConfig, VitConfig

LARGE = 768
"""Channels for which the usual deviation of new weights, 0.02, is right: that of a ViT-B."""
EPSILON = 1e-6
"""What norms add to the variance, as in Dosovitskiy et al. and in the layout of ACT's checkpoints."""
MLP_RATIO = 4
"""Hidden channels of a block's perceptron per channel, as in every published ViT, CLIP and BERT."""


def build_classifier(config: VitConfig | ResNetConfig, class_names: tuple[str, ...]) -> nn.Module:
    """A network from pictures to scores of these classes."""
    names = {"id2label": dict(enumerate(class_names)), "label2id": {c: i for i, c in enumerate(class_names)}}
    with quiet_transformers() as transformers:
        network: Any
        if isinstance(config, VitConfig):
            network = transformers.ViTForImageClassification(_vit(transformers, config, names))
            _spread(network.vit.embeddings.position_embeddings, network.config)
        else:
            network = transformers.ResNetForImageClassification(_resnet(transformers, config, names))
    classifier: nn.Module = network
    return classifier


def build_two_towers(config: ClipConfig, vocabulary_size: int, start: int, end: int) -> nn.Module:
    """A CLIP for texts of at most `config.max_words` tokens, from the one called `start` to `end`."""
    words = {
        "vocab_size": vocabulary_size,
        "max_position_embeddings": config.max_words,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    pictures = {"image_size": config.picture_size, "patch_size": config.patch_size}
    with quiet_transformers() as transformers:
        network: nn.Module = transformers.CLIPModel(
            transformers.CLIPConfig(
                text_config={**words, **_tower(config.text), "projection_dim": config.num_features},
                vision_config={**pictures, **_tower(config.vision), "projection_dim": config.num_features},
                projection_dim=config.num_features,
            )
        )
    vision: Any = network.vision_model
    _spread(vision.embeddings.position_embedding.weight, vision.config)
    return network


def _vit(transformers: Any, config: VitConfig, names: dict[str, Any]) -> Any:
    size = {"image_size": config.picture_size, "patch_size": config.patch_size}
    return transformers.ViTConfig(
        **size, **_tower(config), **names, initializer_range=_deviation(config.width), layer_norm_eps=EPSILON
    )


def _deviation(width: int) -> float:
    """Of new weights; at 0.02, small networks hardly learn at first."""
    return 0.02 * math.sqrt(LARGE / width)


@torch.no_grad()
def _spread(positions: torch.Tensor, config: Any) -> None:
    """Draw positions anew, as large as what a white patch is embedded as: a sum of so many new weights.

    Pictures of objects are mostly white: as small as other weights, positions drown in that, and it takes
    hundreds of steps more until a network makes use of them.
    """
    positions.normal_(0, config.initializer_range * math.sqrt(3) * config.patch_size)


def _resnet(transformers: Any, config: ResNetConfig, names: dict[str, Any]) -> Any:
    return transformers.ResNetConfig(
        embedding_size=config.stem_width,
        hidden_sizes=list(config.widths),
        depths=list(config.depths),
        layer_type=config.layer,
        **names,
    )


def _tower(config: VitConfig | TowerConfig) -> dict[str, int]:
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "intermediate_size": MLP_RATIO * config.width,
    }
