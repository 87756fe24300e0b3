"""Sizes of the image and text networks that can be trained here.

All are built by `transformers` from its own configurations, so that what is trained here is stored and loaded
as an ordinary folder of that library.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from pointlab.config import StrictModel


def _require_whole(whole: int, parts: int, wholes: str, of: str) -> None:
    if whole % parts:
        raise ValueError(f"{wholes} {whole} is not a multiple of {of} {parts}")


class VitConfig(StrictModel):
    """A vision transformer that classifies pictures; sized for minutes on two cores. ViT-B: 768, 12, 12,
    16."""

    kind: Literal["vit"] = "vit"
    picture_size: PositiveInt = 64
    patch_size: PositiveInt = 8
    width: PositiveInt = 192
    depth: PositiveInt = 6
    num_heads: PositiveInt = 3

    @model_validator(mode="after")
    def _divides_evenly(self) -> "VitConfig":
        _require_whole(self.picture_size, self.patch_size, "picture_size", "patch_size")
        _require_whole(self.width, self.num_heads, "width", "num_heads")
        return self


class ResNetConfig(StrictModel):
    """A ResNet that classifies pictures. ResNet-50: bottlenecks, widths 256 to 2048, depths 3, 4, 6, 3."""

    kind: Literal["resnet"] = "resnet"
    picture_size: PositiveInt = 64
    layer: Literal["basic", "bottleneck"] = "basic"
    stem_width: PositiveInt = 32
    """Channels of the first convolution; 64 in ResNet-50."""
    widths: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=1)
    depths: tuple[PositiveInt, ...] = Field(default=(2, 2, 2, 2), min_length=1)

    @model_validator(mode="after")
    def _has_a_depth_for_each_width(self) -> "ResNetConfig":
        if len(self.widths) != len(self.depths):
            raise ValueError(f"{len(self.widths)} widths and {len(self.depths)} depths: one of each a stage")
        return self


class TowerConfig(StrictModel):
    """One tower of a two-tower network."""

    width: PositiveInt = 128
    depth: PositiveInt = 4
    num_heads: PositiveInt = 4

    @model_validator(mode="after")
    def _divides_evenly(self) -> "TowerConfig":
        _require_whole(self.width, self.num_heads, "width", "num_heads")
        return self


class ClipConfig(StrictModel):
    """Two towers, for pictures and for captions, that meet in one space. CLIP: Radford et al., ICML 2021."""

    kind: Literal["clip"] = "clip"
    picture_size: PositiveInt = 64
    patch_size: PositiveInt = 8
    vision: TowerConfig = TowerConfig()
    text: TowerConfig = TowerConfig()
    num_features: PositiveInt = 128
    """Channels of the common space; 512 in CLIP ViT-B."""
    num_words: int = Field(default=1000, ge=514)
    """Most entries of the tokenizer that is trained on the captions: two for each byte, two that mark start
    and end, and merges of them; 49,408 in CLIP."""
    max_words: int = Field(default=32, ge=3)
    """Tokens of a caption at most, start and end included; 77 in CLIP."""

    @model_validator(mode="after")
    def _divides_evenly(self) -> "ClipConfig":
        _require_whole(self.picture_size, self.patch_size, "picture_size", "patch_size")
        return self


NetworkConfig = Annotated[VitConfig | ResNetConfig | ClipConfig, Field(discriminator="kind")]
