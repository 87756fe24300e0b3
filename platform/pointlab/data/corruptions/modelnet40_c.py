"""The fifteen corruptions of ModelNet40-C (Sun et al., 2022), by the names of its files."""

from pointlab.data.corruptions.contract import Corruption
from pointlab.data.corruptions.density import cutout, density, density_inc
from pointlab.data.corruptions.noise import background, gaussian, impulse, uniform, upsampling
from pointlab.data.corruptions.transformations import (
    distortion,
    distortion_rbf,
    distortion_rbf_inv,
    rotation,
    shear,
)
from pointlab.data.corruptions.views import lidar, occlusion

MODELNET40_C: dict[str, Corruption] = {
    "occlusion": occlusion,
    "lidar": lidar,
    "density_inc": density_inc,
    "density": density,
    "cutout": cutout,
    "uniform": uniform,
    "gaussian": gaussian,
    "impulse": impulse,
    "upsampling": upsampling,
    "background": background,
    "rotation": rotation,
    "shear": shear,
    "distortion": distortion,
    "distortion_rbf": distortion_rbf,
    "distortion_rbf_inv": distortion_rbf_inv,
}
