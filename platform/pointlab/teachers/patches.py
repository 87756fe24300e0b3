"""Whether pictures of a size divide into the patches of a network: told from config.json, at no cost."""

from pathlib import Path

from pointlab.errors import ConfigError
from pointlab.teachers.families import MAP_ENCODERS
from pointlab.teachers.folders import require_type, settings_of


def require_patches(folder: Path, size: tuple[int, int]) -> None:
    """Return for a folder whose network gives maps of pictures of this height and width; ConfigError where
    they do not divide into its patches, DataError for a network of another kind."""
    if MAP_ENCODERS[require_type(folder, MAP_ENCODERS)].has_patches:
        settings = settings_of(folder)
        vision = settings.get("vision_config") or settings  # of a CLIP, which has two towers
        if patch := vision.get("patch_size"):
            require_whole(size, int(patch))


def require_whole(size: tuple[int, int], patch: int) -> None:
    """Return for a height and a width that are multiples of `patch`; ConfigError for others."""
    height, width = size
    if height % patch or width % patch:
        nearest = [max(1, round(side / patch)) * patch for side in size]
        raise ConfigError(
            f"Pictures of {height} by {width} pixels do not divide into this teacher's patches of {patch}.",
            expected=f"a height and a width that are multiples of {patch}",
            remedy=f"set paradigm.picture_size, such as {nearest}",
        )
