"""Readers of published datasets in their official layouts; each is a `Source` configured by its fields."""

from pointlab.data.formats.folder import Folder
from pointlab.data.formats.kitti import Kitti
from pointlab.data.formats.modelnet40_c import ModelNet40C
from pointlab.data.formats.modelnet_c import ModelNetC
from pointlab.data.formats.modelnet_dat import ModelNetDat
from pointlab.data.formats.modelnet_fewshot import ModelNetFewshot
from pointlab.data.formats.modelnet_h5 import ModelNetH5
from pointlab.data.formats.modelnet_off import ModelNetOff
from pointlab.data.formats.modelnet_txt import ModelNetTxt
from pointlab.data.formats.npz import Npz
from pointlab.data.formats.psb_parts import PsbParts
from pointlab.data.formats.rgbd_frames import RgbdFrames
from pointlab.data.formats.s3dis import S3dis
from pointlab.data.formats.scannet import Scannet
from pointlab.data.formats.scanobjectnn import ScanObjectNN
from pointlab.data.formats.shapenet55 import ShapeNet55
from pointlab.data.formats.shapenet_part import ShapeNetPart

__all__ = [
    "Folder",
    "Kitti",
    "ModelNet40C",
    "ModelNetC",
    "ModelNetDat",
    "ModelNetFewshot",
    "ModelNetH5",
    "ModelNetOff",
    "ModelNetTxt",
    "Npz",
    "PsbParts",
    "RgbdFrames",
    "S3dis",
    "ScanObjectNN",
    "Scannet",
    "ShapeNet55",
    "ShapeNetPart",
]
