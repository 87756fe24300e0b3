"""Pictures of an object from all around, as image networks learn from: rendered from more points than a
cloud has, in the colours of plausible materials, before a white background.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64

from pointlab.data.builtin.assembly import Assembly
from pointlab.data.builtin.materials import draw_skins, dress
from pointlab.data.builtin.primitives import FULL_TURN, Points
from pointlab.data.pictures import encode_colour
from pointlab.data.sample import Picture, View
from pointlab.geometry.cameras import centred_pinhole, look_at
from pointlab.geometry.rendering import render
from pointlab.geometry.splatting import Splats

NUM_POINTS = 16_384
"""Two in a pixel of what is seen of an object in 224 pixels."""
CLOSING_RADIUS = 1.5
"""Disc radius in units of the mean spacing: exp(-pi * 1.5^2), one gap in 1,200 pixels."""
FIELD_OF_VIEW = math.radians(40)
"""Like a portrait lens: some perspective, little distortion."""
MARGIN = 1.08
"""Space around the object's bounding sphere."""
ELEVATIONS = (10.0, 35.0)
"""Degrees above the horizon: from sitting to standing, where most pictures of things are taken."""
SUPERSAMPLING = 2


def take_portraits(
    assembly: Assembly, num_views: int, size: int, generator: np.random.Generator
) -> tuple[View, ...]:
    """`num_views` square pictures of `size` pixels, at even azimuths from a random start.

    Each has an elevation of its own, and the whole object in the picture.
    """
    points, normals, parts = assembly.sample(NUM_POINTS, generator)
    materials, skin_of_part = dress(assembly, generator)
    colours = draw_skins(materials, generator).paint(skin_of_part[parts], points)
    camera = centred_pinhole(size, size, FIELD_OF_VIEW)
    eyes, centre = _around(points, num_views, generator)
    poses = look_at(torch.from_numpy(eyes), torch.from_numpy(centre))
    radius = CLOSING_RADIUS * math.sqrt(assembly.areas.sum() / NUM_POINTS)
    splats = Splats(torch.from_numpy(points), torch.full((len(points),), radius), torch.from_numpy(normals))
    pictures = render(splats, camera, poses, torch.from_numpy(colours), supersampling=SUPERSAMPLING)
    return tuple(
        View(f"{number:02d}", Picture(encode_colour(picture), camera, pose))
        for number, (picture, pose) in enumerate(zip(pictures.numpy(), poses.numpy(), strict=True))
    )


def _around(
    points: Points, num_views: int, generator: np.random.Generator
) -> tuple[Float64[np.ndarray, "views 3"], Float64[np.ndarray, "3"]]:
    """Where cameras stand, and what they look at: the centre of the bounding box."""
    centre = (points.min(0) + points.max(0)) / 2
    radius = np.linalg.norm(points - centre, axis=1).max()
    distance = MARGIN * radius / math.sin(FIELD_OF_VIEW / 2)
    azimuth = FULL_TURN * (generator.random() + np.arange(num_views)) / max(num_views, 1)
    elevation = np.radians(generator.uniform(*ELEVATIONS, size=num_views))
    level = np.cos(elevation)
    directions = np.stack([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)], 1)
    return centre + distance * directions, centre
