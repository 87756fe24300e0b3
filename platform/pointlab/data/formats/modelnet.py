"""What the published forms of ModelNet share: its classes, and a bound on the length of a cloud."""

from pathlib import Path

from pointlab.errors import DataError

CLASSES_40 = (
    *("airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone"),
    *("cup", "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp"),
    *("laptop", "mantel", "monitor", "night_stand", "person", "piano", "plant", "radio", "range_hood"),
    *("sink", "sofa", "stairs", "stool", "table", "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox"),
)
"""ModelNet40's classes in the order of their labels, for releases without the list."""


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
