"""Whether clouds have the points that a network is to see, told before a set is prepared or a parent made."""

import math
from collections.abc import Iterable

from pointlab.backbones import BackboneConfig
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig


def require_points(num_points: int, datasets: Iterable[DatasetConfig]) -> None:
    """Refuse, as a mistake of the config, to show a network more points than are prepared."""
    for data in datasets:
        if data.num_points < num_points:
            raise ValueError(
                f"num_points is {num_points}, but {data.name} is prepared with {data.num_points} points"
                " a cloud: lower num_points, or raise that of the data"
            )


def require_points_for_patches(
    num_points: int,
    augmentation: AugmentationConfig,
    backbone: BackboneConfig,
    prefix: str = "",
    drawn_by: str = "",
) -> None:
    """Refuse clouds, or what crops and cuboids leave of them, that are too small for the backbone's patches.

    `prefix` is the path of the settings of patches, such as "backbone."; `drawn_by` that of what has the
    augmentation, such as "voting.".
    """
    shown, found = num_points, f"num_points is {num_points}"
    if augmentation.leaving_out:
        shown = math.ceil(num_points * augmentation.least_share)
        settings = augmentation.leaving_out.replace("augmentation.", f"{drawn_by}augmentation.")
        found = f"{settings}, which leaves as few as {shown} of {num_points} points"
    for name in ("num_groups", "group_size"):
        needed = getattr(backbone, name, 0)
        if needed > shown:
            raise ValueError(
                f"{found}, but {prefix}{name} is {needed}: expected at least {needed} points; raise"
                f" num_points, or lower {prefix}{name}"
            )
