"""Readers of published datasets in their official layouts; each is a `Source` configured by its fields."""

from pointlab.data.formats.modelnet_h5 import ModelNetH5
from pointlab.data.formats.modelnet_off import ModelNetOff
from pointlab.data.formats.modelnet_txt import ModelNetTxt

__all__ = ["ModelNetH5", "ModelNetOff", "ModelNetTxt"]
