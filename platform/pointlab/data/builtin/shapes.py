"""`shapes`: whole, clean, upright objects, the source domain of a transfer.

Points are uniform over the surface, with exact normals, part labels and a caption. Objects stand on
y = 0, face +z and keep their natural size in metres.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from pointlab.data.builtin.generated import GeneratedSource
from pointlab.data.builtin.objects import CLASSES, PART_NAMES
from pointlab.data.builtin.surfels import sample_object
from pointlab.data.sample import Cloud


class Shapes(GeneratedSource):
    """Parametric objects of every built-in class."""

    kind: Literal["shapes"] = "shapes"
    num_points: int = Field(default=2048, ge=1)
    """Points of a cloud: twice what networks usually take, so that preparation can choose."""

    @property
    def stream(self) -> str:
        """There is one stream."""
        return "shapes"

    @property
    def part_names(self) -> tuple[str, ...]:
        """Every part of every class."""
        return PART_NAMES

    @property
    def points_per_cloud(self) -> int:
        """All clouds have `num_points` points."""
        return self.num_points

    def make(self, class_name: str, source: np.random.Generator) -> Cloud:
        """An instance of `class_name`, sampled all over."""
        assembly = CLASSES[class_name](source)
        surfels = sample_object(class_name, assembly, self.num_points, source)
        return surfels.to_cloud(list(CLASSES).index(class_name), assembly.caption)
