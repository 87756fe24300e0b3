"""Shifts that a transfer is measured under and never trained on: what can be measured, and what cannot."""

from typing import Literal

from pointlab.backbones import BackboneConfig
from pointlab.data.corruptions import CorruptionSuite
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.suitability import require_suitable
from pointlab.experiment.tasks import Protocol
from pointlab.transfer.showing import Selection

ClassMap = dict[str, str | tuple[str, ...]] | Literal["by_name"]
"""Classes of a shifted set, each with what is right about it among those of the target; or those that have
equal names in both."""


def require_mappable(classes: ClassMap | None, protocol: Protocol, *, has_shifted: bool) -> None:
    """ValueError for a map of classes that nothing would read."""
    if classes is None:
        return
    if not has_shifted:
        raise ValueError("shifted_classes maps classes of a shifted set, but none is given: set shifted")
    if protocol == "few_shot":
        raise ValueError(
            "shifted_classes are set, but protocol few_shot asks about classes of its folds: expected a"
            " shifted set with the target's classes"
        )


def require_chosen_on(selection: Selection, *, has_shifted: bool, has_corruptions: bool) -> None:
    """ValueError where a mixture is to be chosen by a shift that is not given."""
    if selection == "shifted" and not has_shifted:
        raise ValueError("mixture.selection is 'shifted', but no shifted set is given")
    if selection == "corrupted" and not has_corruptions:
        raise ValueError(
            "mixture.selection is 'corrupted', but no corruptions are given: set corruptions, such as {name:"
            " modelnet_c}"
        )


def require_corruptible(
    suite: CorruptionSuite,
    data: DatasetConfig,
    num_points: int,
    architecture: BackboneConfig,
    protocol: Protocol,
) -> None:
    """ValueError where there is no classifier to measure under the suite, or no clouds to corrupt for it."""
    if suite.origin == "official":
        raise ValueError(
            "corruptions.origin is official, but a transfer corrupts its own target: leave origin out, and"
            " measure the finished transfer on released clouds by kind: evaluate"
        )
    if protocol == "few_shot":
        raise ValueError(
            "corruptions are set, but protocol few_shot leaves no classifier to measure under them: leave"
            " them out, in a study by adjustments"
        )
    if read := architecture.inputs:
        raise ValueError(f"corrupted clouds have no {' and no '.join(read)}, which the backbone reads")
    require_suitable(data, suite, num_points)
