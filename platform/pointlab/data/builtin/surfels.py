"""Oriented surface points with part labels: what an object is between its making and its cloud."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from pointlab.data.builtin.assembly import Assembly
from pointlab.data.builtin.objects import PART_NAMES
from pointlab.data.builtin.primitives import Points
from pointlab.data.sample import Cloud


@dataclass(frozen=True)
class Surfels:
    """Surface points (metres), their outward unit normals and their labels."""

    points: Points
    normals: Points
    labels: Int64[np.ndarray, " points"]

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "Surfels":
        """The surfels of these rows, in this order."""
        return Surfels(self.points[rows], self.normals[rows], self.labels[rows])

    def rotated(self, rotation: Float64[np.ndarray, "3 3"]) -> "Surfels":
        """All surfels turned about the origin."""
        return Surfels(self.points @ rotation.T, self.normals @ rotation.T, self.labels)

    def to_cloud(self, label: int, caption: str) -> Cloud:
        """The cloud of these surfels, in single precision."""
        return Cloud(
            points=self.points.astype(np.float32),
            normals=self.normals.astype(np.float32),
            point_labels=self.labels,
            label=label,
            caption=caption,
        )


def join(pieces: Sequence[Surfels]) -> Surfels:
    """All surfels of `pieces`, one piece after the other."""
    return Surfels(
        np.concatenate([piece.points for piece in pieces]),
        np.concatenate([piece.normals for piece in pieces]),
        np.concatenate([piece.labels for piece in pieces]),
    )


def sample_object(class_name: str, assembly: Assembly, count: int, generator: np.random.Generator) -> Surfels:
    """`count` surfels uniform over an instance of `class_name`, labelled by `PART_NAMES`."""
    points, normals, parts = assembly.sample(count, generator)
    labels = np.array([PART_NAMES.index(f"{class_name}/{part.name}") for part in assembly.parts])
    return Surfels(points, normals, labels[parts])
