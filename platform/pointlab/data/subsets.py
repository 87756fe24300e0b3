"""Subsets of a split: labelled clouds, a few of each class or evenly by class, or scenes, drawn by a key."""

import numpy as np
from jaxtyping import Int64, UInt64

from pointlab.data.cache import CachedSplit
from pointlab.errors import DataError
from pointlab.seeding import KeyedDraws, stable_integer


def few_per_class(
    split: CachedSplit, samples_per_class: int, seed: int, class_names: tuple[str, ...]
) -> Int64[np.ndarray, " rows"]:
    """Rows of `samples_per_class` clouds of each class, in stored order.

    A cloud's place in the draw depends on (seed, sample id) alone, so that a smaller subset of the same seed
    lies within a larger one. Raises DataError where a class has fewer clouds.
    """
    keys = KeyedDraws.of("subset", seed, split.ids).bits("place", 1)[:, 0]
    for label, name in enumerate(class_names):
        if (found := int((split.labels == label).sum())) < samples_per_class:
            raise DataError(
                f"{split.folder.parent.name} has {found} training clouds of the class {name}.",
                expected=f"at least samples_per_class = {samples_per_class}",
                remedy="lower samples_per_class or data.validation_fraction",
            )
    return first_of_each_class(split.labels, keys, np.arange(len(class_names)), samples_per_class)


def first_of_each_class(
    labels: Int64[np.ndarray, " clouds"],
    keys: UInt64[np.ndarray, " clouds"],
    classes: Int64[np.ndarray, " classes"],
    count: int,
) -> Int64[np.ndarray, " rows"]:
    """Rows of the clouds of each of these classes with the lowest keys, at most `count`, in stored order."""
    members = [np.flatnonzero(labels == label) for label in classes]
    return np.sort(np.concatenate([rows[np.argsort(keys[rows])[:count]] for rows in members]))


def share_of_scenes(split: CachedSplit, share: float, seed: int) -> Int64[np.ndarray, " rows"]:
    """Rows of this share of the scenes, to the nearest number and at least one, in stored order.

    A scene is what clouds have as their group; a cloud without one is a scene of its own. Its place in the
    draw depends on (seed, its name) alone, so that a smaller share of the same seed lies within a larger one.
    """
    scenes = [group or str(identity) for group, identity in zip(split.groups, split.ids, strict=True)]
    drawn = sorted(set(scenes), key=lambda scene: (stable_integer("scenes", seed, str(scene)), scene))
    chosen = set(drawn[: max(1, round(share * len(drawn)))])
    return np.flatnonzero([scene in chosen for scene in scenes])


def evenly_by_class(split: CachedSplit, num_clouds: int, seed: int) -> Int64[np.ndarray, " rows"]:
    """Rows of so many clouds in stored order, as many of each class as there are; all of a smaller split.

    A cloud's place in the draw of its class depends on (seed, sample id) alone. Raises DataError if a cloud
    of the split has no label.
    """
    if bool((split.labels < 0).any()):
        raise DataError(
            f"{split.folder.parent.name} has clouds without a label.",
            expected="labels, by which clouds are drawn",
            remedy="choose a labelled set as data",
        )
    keys = KeyedDraws.of("analysis", seed, split.ids).bits("place", 1)[:, 0]
    places = np.empty(len(split), np.int64)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        places[members[np.argsort(keys[members])]] = np.arange(len(members))
    return np.sort(np.lexsort((keys, places))[:num_clouds])
