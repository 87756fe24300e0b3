"""Exact geometry in plain PyTorch: sampling, neighbours, Chamfer distance, normals; cameras and pictures.

Where clouds come in batches, those of differing length share a dense, zero-padded one; `counts` says how
many rows of each are real (None: all of them). No function is approximate, and ties are broken by a stated
rule, so that a result depends on the coordinates alone and not on the batch, the number of threads or the
path that was taken; `feature_neighbours` alone measures through a matrix product, and says what that
leaves open. Pictures, too: what is drawn is a disc for every point, and which is seen is exact.
"""

from pointlab.geometry.ball import ball_neighbours
from pointlab.geometry.cameras import Pinhole, back_project, depth_to_points, look_at, pose_after, project
from pointlab.geometry.chamfer import chamfer_distance
from pointlab.geometry.feature_space import feature_neighbours
from pointlab.geometry.interpolation import interpolate_features
from pointlab.geometry.kernel_maps import KernelMap, strided_map, submanifold_map
from pointlab.geometry.neighbours import nearest_neighbours
from pointlab.geometry.normals import estimate_normals
from pointlab.geometry.padding import real_rows
from pointlab.geometry.places import Centres, Coarser, Places
from pointlab.geometry.rendering import render
from pointlab.geometry.sampling import farthest_point_sample, gather_points
from pointlab.geometry.segments import Segments
from pointlab.geometry.splatting import Raster, Splats, closing_size, splat
from pointlab.geometry.voxel_levels import VoxelLevel
from pointlab.geometry.voxels import Voxels, voxelise

__all__ = [
    "Centres",
    "Coarser",
    "KernelMap",
    "Pinhole",
    "Places",
    "Raster",
    "Segments",
    "Splats",
    "VoxelLevel",
    "Voxels",
    "back_project",
    "ball_neighbours",
    "chamfer_distance",
    "closing_size",
    "depth_to_points",
    "estimate_normals",
    "farthest_point_sample",
    "feature_neighbours",
    "gather_points",
    "interpolate_features",
    "look_at",
    "nearest_neighbours",
    "pose_after",
    "project",
    "real_rows",
    "render",
    "splat",
    "strided_map",
    "submanifold_map",
    "voxelise",
]
