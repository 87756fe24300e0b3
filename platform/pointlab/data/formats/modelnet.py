"""What the three published forms of ModelNet share: where they come from, their terms, their length.

ModelNet: Wu et al., "3D ShapeNets: A Deep Representation for Volumetric Shapes", CVPR 2015.
"""

from pathlib import Path

from pointlab.errors import DataError

ORIGIN = "ModelNet (Wu et al., CVPR 2015), Princeton University: CAD models collected from the web."
LICENCE = "For academic research use only; the copyright of the models is with their authors."


def require_points(path: Path, stored: int, num_points: int | None) -> int:
    """How many of the `stored` rows of a cloud are kept: the first `num_points`, or all where it is None.

    Raises DataError where there are fewer: a cloud is never filled up by repeating points.
    """
    if num_points is not None and num_points > stored:
        raise DataError(
            f"{path} has {stored} points in a cloud.",
            expected=f"at least num_points, {num_points}",
            remedy=f"set num_points to at most {stored}, or leave it out",
        )
    return stored if num_points is None else num_points
