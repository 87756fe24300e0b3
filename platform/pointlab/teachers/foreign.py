"""The transformer inside a network of pictures or words: its blocks and final norm, for ACT's prompts.

What a network makes of its own inputs (patches, words, positions, class tokens) stays behind, see
`objectives/prompting.py`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointlab.errors import ConfigError
from pointlab.objectives.prompting import ForeignTransformer
from pointlab.seeding import stable_integer
from pointlab.teachers.families import FAMILIES, Family
from pointlab.teachers.folders import require_type
from pointlab.teachers.loading import load_network
from pointlab.teachers.networks import build_classifier, build_two_towers
from pointlab.teachers.settings import ClipConfig, NetworkConfig, ResNetConfig


def foreign_transformer(folder: Path) -> ForeignTransformer:
    """Blocks and final norm of the network in a folder of `transformers`, in float32.

    Raises DataError for a folder that is none, of a family that is not known here, or not whole.
    """
    family = FAMILIES[require_type(folder, FAMILIES)]
    network, _ = load_network(folder, family.network, family.options)
    return transformer_of(network, family)


def random_foreign_transformer(network: NetworkConfig, seed: int) -> ForeignTransformer:
    """The same of a network that nobody trained, whose weights depend on `seed` alone.

    Raises ConfigError for a network without blocks.
    """
    if isinstance(network, ResNetConfig):
        raise ConfigError(
            "A ResNet has no transformer blocks that could teach.",
            expected="a network of the kind vit or clip",
            remedy="choose such a teacher",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_integer(seed, "teacher"))
        if isinstance(network, ClipConfig):
            towers: Any = build_two_towers(
                network, network.num_words, network.num_words - 2, network.num_words - 1
            )
            return transformer_of(towers.vision_model, FAMILIES["clip"])
        classifier: Any = build_classifier(network, class_names=("any",))
        return transformer_of(classifier.vit, FAMILIES["vit"])


def transformer_of(network: Any, family: Family) -> ForeignTransformer:
    """Blocks and final norm of a network, frozen; its only list of modules are its blocks."""
    blocks = next(module for module in network.modules() if isinstance(module, nn.ModuleList))
    norm = nn.Identity() if family.norm is None else getattr(network, family.norm)
    return ForeignTransformer(blocks, norm, network.config.hidden_size).requires_grad_(False).eval()
