"""Folds of few-shot classification: some classes, a few training clouds of each, and clouds to ask about.

As in Sharma and Kaul ("Self-Supervised Few-Shot Learning on Point Clouds", NeurIPS 2020), and in the released
folds of Point-BERT: w classes, s training clouds and q test clouds of each, ten times. Where a set brings its
folds along they are its groups; of any other set they are drawn, each by a key of its own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pointlab.data.cache import CachedSplit
from pointlab.data.subsets import first_of_each_class
from pointlab.errors import DataError
from pointlab.seeding import KeyedDraws


@dataclass(frozen=True)
class Fold:
    """Labels of the classes, ascending; rows of the training split to learn them from, in stored order.

    `group` is what a released fold is called in its set; a drawn one has none.
    """

    number: int
    classes: Int64[np.ndarray, " ways"]
    support: Int64[np.ndarray, " rows"]
    group: str = ""


def draw_folds(
    train: CachedSplit, num_folds: int, ways: int, shots: int, *, seed: int, class_names: tuple[str, ...]
) -> list[Fold]:
    """Folds of `ways` classes and `shots` training clouds of each.

    Which depends on (seed, fold, class) and (seed, fold, sample id) alone, so that a fold of fewer classes or
    clouds lies within one of more. Raises DataError where there are too few.
    """
    if len(class_names) < ways:
        raise DataError(
            f"{train.folder.parent.name} has {len(class_names)} classes, and few_shot.ways is {ways}.",
            expected="as many classes as a fold has, or more",
            remedy="lower few_shot.ways",
        )
    return [
        _draw(train, number, ways, shots, seed=seed, class_names=class_names) for number in range(num_folds)
    ]


def _draw(
    train: CachedSplit, number: int, ways: int, shots: int, *, seed: int, class_names: tuple[str, ...]
) -> Fold:
    of_classes = KeyedDraws.of("few-shot classes", seed, number, np.arange(len(class_names)))
    classes = np.sort(np.argsort(of_classes.bits("place", 1)[:, 0])[:ways])
    for label in classes:
        if (found := int((train.labels == label).sum())) < shots:
            raise DataError(
                f"{train.folder.parent.name} has {found} training clouds of the class {class_names[label]}.",
                expected=f"at least few_shot.shots = {shots}",
                remedy="lower few_shot.shots or data.validation_fraction",
            )
    keys = KeyedDraws.of("support", seed, number, train.ids).bits("place", 1)[:, 0]
    return Fold(number, classes, first_of_each_class(train.labels, keys, classes, shots))


def released_folds(train: CachedSplit) -> list[Fold]:
    """The folds that the set brings along, by the groups of its training clouds, ordered by name."""
    folds = []
    for number, group in enumerate(np.unique(train.groups).tolist()):
        support = np.flatnonzero(train.groups == group)
        folds.append(Fold(number, np.unique(train.labels[support]).astype(np.int64), support, group))
    return folds


def queries_of(fold: Fold, split: CachedSplit, most: int, seed: int) -> Int64[np.ndarray, " rows"]:
    """Rows of the split to ask about, in stored order: all of a released fold's, else `most` of each class.

    A class with fewer gives all it has. Raises DataError where a class has none.
    """
    if fold.group:
        rows = np.flatnonzero(split.groups == fold.group)
    else:
        keys = KeyedDraws.of("queries", seed, fold.number, split.ids).bits("place", 1)[:, 0]
        rows = first_of_each_class(split.labels, keys, fold.classes, most)
    if missing := sorted(set(fold.classes.tolist()) - set(split.labels[rows].tolist())):
        raise DataError(
            f"{split.folder.parent.name} has no {split.folder.name} cloud of the class with label"
            f" {missing[0]}, which fold {fold.number} has.",
            expected="clouds of every class to ask about",
            remedy="choose a set whose classes all occur in this split",
        )
    return rows
