"""Which classes a target and its shifted set have in common, by their names.

`shifted_classes` maps a class of the shifted set to one of the target's, or to several that are all right:
ScanObjectNN's cabinet is ModelNet40's dresser or wardrobe. Clouds of classes that it leaves out are not asked
about.
"""

import difflib
from collections.abc import Mapping, Sequence

from pointlab.data.manifest import DatasetManifest
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.shifts import ClassMap
from pointlab.experiment.transfer import TransferExperiment


def shared_classes(
    given: ClassMap | None, shifted: Sequence[str], target: Sequence[str]
) -> SharedClasses | None:
    """The map of a set with the `shifted` classes to the `target` ones; None where both have equal classes.

    Raises DataError where classes are to be equal and are not, or none is shared; ConfigError for a name that
    a set does not have.
    """
    if given is None:
        _require_equal(shifted, target)
        return None
    right = _right_answers(given, shifted, target)
    if not any(right.values()):
        raise DataError(
            f"No class of the shifted set is shared: it has {', '.join(shifted)}; the target has"
            f" {', '.join(target)}.",
            expected="classes of equal names",
            remedy="set shifted_classes to {<class of the shifted set>: <class of the target>, ...}",
        )
    places = {name: number for number, name in enumerate(target)}
    return SharedClasses(
        tuple(tuple(places[answer] for answer in right.get(name, ())) for name in shifted), len(target)
    )


def classes_between(
    experiment: TransferExperiment, shifted: DatasetManifest, target: DatasetManifest
) -> SharedClasses | None:
    """What the transfer's map makes of its sets; of a segmentation's, whose parts are to be equal, None."""
    names = "part_names" if experiment.segments else "class_names"
    return shared_classes(experiment.shifted_classes, getattr(shifted, names), getattr(target, names))


def on_shared_classes(data: Data, split: str, target: Sequence[str]) -> dict[str, str]:
    """Notes on the map, and on how many clouds of the split were left out; none where classes are equal."""
    shared, rows = data.shared, data.asked(split)
    if shared is None or rows is None:
        return {}
    left_out = len(data.split(split)) - len(rows)
    return {
        "shifted classes": in_words(shared, data.manifest.class_names, target),
        f"shifted {split} clouds": f"{len(rows):,}; {left_out:,} of classes that are not shared are left out",
    }


def in_words(shared: SharedClasses, names: Sequence[str], target: Sequence[str]) -> str:
    """The map of a set with these class names: `cabinet as dresser or wardrobe; left out: bag, bin`."""
    asked = [
        f"{names[label]} as {' or '.join(target[answer] for answer in shared.right[label])}"
        for label in shared.asked
    ]
    others = [name for label, name in enumerate(names) if label not in shared.asked]
    return ", ".join(asked) + (f"; left out: {', '.join(others)}" if others else "")


def _right_answers(
    given: ClassMap, shifted: Sequence[str], target: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    if isinstance(given, str):
        return {name: (name,) for name in shifted if name in target}
    right = {name: (answers,) if isinstance(answers, str) else answers for name, answers in given.items()}
    for name, answers in right.items():
        _require_known(name, shifted, "shifted_classes", "shifted set")
        for answer in answers:
            _require_known(answer, target, f"shifted_classes.{name}", "target")
    return right


def _require_known(name: str, known: Sequence[str], where: str, whose: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"{where} names {name!r}, which is no class of the {whose}.",
            expected=f"one of {', '.join(known)}",
            remedy=f"did you mean {close[0]!r}?" if close else "leave it out",
        )


def _require_equal(shifted: Sequence[str], target: Sequence[str]) -> None:
    if tuple(shifted) != tuple(target):
        raise DataError(
            f"The target has the classes {', '.join(target)}; the shifted set has {', '.join(shifted)}.",
            expected="equal classes in equal order",
            remedy="set shifted_classes to {<class of the shifted set>: <class of the target>, ...}, or to"
            " by_name",
        )
