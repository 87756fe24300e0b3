"""Sixteen classes of everyday objects, each a function of a generator that builds one instance.

Several are meant to be confused once size is normalised away: chairs, stools, benches and tables; shelves
and cabinets; monitors and laptops; mugs, bowls, vases, bottles and plant pots. A class is one function and
one entry in each of the two tables here.
"""

from collections.abc import Callable

import numpy as np

from pointlab.data.builtin.assembly import Assembly
from pointlab.data.builtin.objects.furniture import bed, cabinet, shelf, table
from pointlab.data.builtin.objects.household import lamp, laptop, monitor
from pointlab.data.builtin.objects.plants import plant
from pointlab.data.builtin.objects.seating import bench, chair, sofa, stool
from pointlab.data.builtin.objects.vessels import bottle, bowl, mug, vase

CLASSES: dict[str, Callable[[np.random.Generator], Assembly]] = {
    "bed": bed,
    "bench": bench,
    "bottle": bottle,
    "bowl": bowl,
    "cabinet": cabinet,
    "chair": chair,
    "lamp": lamp,
    "laptop": laptop,
    "monitor": monitor,
    "mug": mug,
    "plant": plant,
    "shelf": shelf,
    "sofa": sofa,
    "stool": stool,
    "table": table,
    "vase": vase,
}
"""Class name -> the function that builds an instance; the order is that of the labels."""

PARTS: dict[str, tuple[str, ...]] = {
    "bed": ("frame", "mattress", "pillow", "headboard", "footboard", "leg"),
    "bench": ("seat", "leg", "base", "back", "arm"),
    "bottle": ("body", "neck", "cap", "handle"),
    "bowl": ("body", "foot", "handle"),
    "cabinet": ("body", "door", "drawer", "handle", "leg"),
    "chair": ("seat", "leg", "base", "back", "arm"),
    "lamp": ("shade", "bulb", "leg", "base", "arm"),
    "laptop": ("base", "keyboard", "touchpad", "lid", "screen", "riser"),
    "monitor": ("casing", "screen", "neck", "base"),
    "mug": ("body", "handle"),
    "plant": ("pot", "soil", "stem", "leaf"),
    "shelf": ("board", "upright", "panel", "book"),
    "sofa": ("base", "seat", "back", "arm", "leg"),
    "stool": ("seat", "leg", "base", "ring", "back"),
    "table": ("top", "leg", "base", "shelf", "apron"),
    "vase": ("body", "handle", "stem", "flower"),
}
"""Class name -> the parts that an instance may have."""

PART_NAMES: tuple[str, ...] = tuple(f"{name}/{part}" for name, parts in PARTS.items() for part in parts)
"""Every part of every class, such as "chair/leg", in the order of the classes."""
