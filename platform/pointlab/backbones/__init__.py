"""Backbones: networks from point clouds to features, all behind the surface of `surface.py`.

To add one, write its module with its configuration beside it, and enter both below.
"""

from typing import Annotated

from pydantic import Field

from pointlab.backbones.dgcnn import Dgcnn, DgcnnConfig
from pointlab.backbones.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from pointlab.backbones.patch_transformer import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.pointmlp import PointMlp, PointMlpConfig
from pointlab.backbones.pointnet import PointNet, PointNetConfig
from pointlab.backbones.pointnet2 import PointNet2, PointNet2Config
from pointlab.backbones.recon import ReconConfig, ReconTransformer
from pointlab.backbones.sparse_unet import SparseUnet, SparseUnetConfig
from pointlab.backbones.surface import Backbone, Features, PointFeatures

BACKBONES: dict[str, type[Backbone]] = {
    "patch_transformer": PatchTransformer,
    "patch_embedding": PatchEmbedding,
    "recon": ReconTransformer,
    "pointnet": PointNet,
    "pointnet2": PointNet2,
    "dgcnn": Dgcnn,
    "pointmlp": PointMlp,
    "sparse_unet": SparseUnet,
}

BackboneConfig = Annotated[
    PatchTransformerConfig
    | PatchEmbeddingConfig
    | ReconConfig
    | PointNetConfig
    | PointNet2Config
    | DgcnnConfig
    | PointMlpConfig
    | SparseUnetConfig,
    Field(discriminator="kind"),
]


def build_backbone(config: BackboneConfig) -> Backbone:
    """The freshly initialised backbone that `config` describes; weights follow torch's default generator."""
    return BACKBONES[config.kind](config)


__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneConfig",
    "Features",
    "PatchEmbedding",
    "PatchTransformer",
    "PointFeatures",
    "ReconTransformer",
    "build_backbone",
]
