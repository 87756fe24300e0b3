"""Subsets of a training split: a few labelled clouds of each class, drawn by a key."""

import numpy as np
from jaxtyping import Int64

from pointlab.data.cache import CachedSplit
from pointlab.errors import DataError
from pointlab.seeding import KeyedDraws


def few_per_class(
    split: CachedSplit, samples_per_class: int, seed: int, class_names: tuple[str, ...]
) -> Int64[np.ndarray, " rows"]:
    """Rows of `samples_per_class` clouds of each class, in stored order.

    A cloud's place in the draw depends on (seed, sample id) alone, so that a smaller subset of the same seed
    lies within a larger one. Raises DataError where a class has fewer clouds.
    """
    keys = KeyedDraws.of("subset", seed, split.ids).bits("place", 1)[:, 0]
    chosen = []
    for label, name in enumerate(class_names):
        members = np.flatnonzero(split.labels == label)
        if len(members) < samples_per_class:
            raise DataError(
                f"{split.folder.parent.name} has {len(members)} training clouds of the class {name}.",
                expected=f"at least samples_per_class = {samples_per_class}",
                remedy="lower samples_per_class or data.validation_fraction",
            )
        chosen.append(members[np.argsort(keys[members])[:samples_per_class]])
    return np.sort(np.concatenate(chosen))
