"""Backbones: networks from point clouds to features, all behind the surface of `surface.py`.

To add one, write its module with its configuration beside it, and enter both below.
"""

from pointlab.backbones.patch_transformer import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.surface import Backbone, Features

BACKBONES: dict[str, type[Backbone]] = {
    "patch_transformer": PatchTransformer,
}

BackboneConfig = PatchTransformerConfig  # with a second: Annotated[A | B, Field(discriminator="kind")]


def build_backbone(config: BackboneConfig) -> Backbone:
    """The freshly initialised backbone that `config` describes; weights follow torch's default generator."""
    return BACKBONES[config.kind](config)


__all__ = ["BACKBONES", "Backbone", "BackboneConfig", "Features", "build_backbone"]
