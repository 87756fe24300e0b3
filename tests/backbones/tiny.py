"""A tiny network of every kind of backbone, for tests that run over all of them."""

from pointlab.backbones import BackboneConfig
from pointlab.backbones.dgcnn import DgcnnConfig
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.pointmlp import PointMlpConfig
from pointlab.backbones.pointnet import PointNetConfig
from pointlab.backbones.pointnet2 import PointNet2Config
from pointlab.backbones.recon import ReconConfig
from pointlab.backbones.set_abstraction import AbstractionConfig, BallConfig
from pointlab.backbones.sparse_unet import SparseUnetConfig


def tiny_abstraction(num_centres: int, *radii: float, width: int) -> AbstractionConfig:
    """No ball is so full that it leaves points out: which ones would depend on their order."""
    balls = (BallConfig(radius=radius, num_neighbours=40, widths=(8, width)) for radius in radii)
    return AbstractionConfig(num_centres=num_centres, balls=tuple(balls))


SSG = PointNet2Config(
    first=tiny_abstraction(16, 0.8, width=12),
    second=tiny_abstraction(6, 1.6, width=16),
    global_widths=(16, 24),
)

TINY: dict[str, BackboneConfig] = {
    "patch_transformer": PatchTransformerConfig(
        width=24, depth=2, num_heads=3, num_groups=8, group_size=4, embedder_widths=(8, 16, 16)
    ),
    "recon": ReconConfig(
        width=24, depth=2, num_heads=3, num_groups=8, group_size=4, embedder_widths=(8, 16, 16)
    ),
    "patch_embedding": PatchEmbeddingConfig(
        width=24, num_groups=8, group_size=4, embedder_widths=(8, 16, 16)
    ),
    "dgcnn": DgcnnConfig(num_neighbours=5, edge_widths=(8, 8, 12), embedding_width=16),
    "pointmlp": PointMlpConfig(
        embedding_width=8,
        num_centres=(16, 8),
        expansions=(2, 1),
        num_pre_blocks=(1, 1),
        num_pos_blocks=(1, 2),
        num_neighbours=5,
        bottleneck=0.5,
    ),
    "pointnet": PointNetConfig(
        widths=(8, 8, 8, 12, 24), transform_widths=(8, 8, 16), transform_hidden=(16, 8)
    ),
    "pointnet2": SSG,
    "pointnet2-msg": SSG.model_copy(update={"first": tiny_abstraction(16, 0.6, 1.2, width=12)}),
    "pointnet2-decoder": SSG.model_copy(
        update={"decoder": True, "propagation_widths": ((16, 12), (12, 8), (8, 8, 8))}
    ),
    "sparse_unet": SparseUnetConfig(
        voxel_size=0.3, stem_width=8, stem_kernel=3, widths=(12, 16, 12, 8), depths=(1, 1, 1, 1)
    ),
}
