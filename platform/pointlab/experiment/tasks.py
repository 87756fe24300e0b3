"""What a transfer learns of its target: a class for each cloud, or one for each of its points.

Settings that one of the tasks alone reads are refused by the other: they would be believed to count.
"""

from typing import Literal

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel
from pointlab.paradigms import SegmentationConfig
from pointlab.paradigms.compatibility import require_compatible

Task = Literal["classification", "segmentation"]
Protocol = Literal[
    "full",
    "linear_probe",
    "mlp_probe",
    "knn",
    "linear_svm",
    "few_shot",
    "zero_shot",
    "wise_ft",
    "wise_ft_lp",
    "lp_ft",
    "soup",
]
OF_POINTS: tuple[Protocol, ...] = ("full", "linear_probe")
"""The protocols that there are for segmentation."""
FIGURES_OF_SEGMENTATION = ("miou", "mean_class_accuracy", "accuracy")
FIGURES_OF_PARTS = ("instance_miou", "class_miou")
"""Of a segmentation of objects whose parts belong to categories."""
READ_BY: dict[Task, frozenset[str]] = {
    "classification": frozenset(
        {
            *("supervised", "mixture", "probe", "svm", "few_shot", "voting", "zero_shot", "lp_ft", "soup"),
            *("corruptions", "shifted_classes", "legacy", "mlp_probe", "knn"),
        }
    ),
    "segmentation": frozenset({"segmentation", "scene_views"}),
}
"""Fields of a transfer that one of the tasks alone reads."""
MIXTURES: frozenset[Protocol] = frozenset({"wise_ft", "wise_ft_lp", "soup"})
FINE_TUNINGS: frozenset[Protocol] = MIXTURES | {"full", "lp_ft"}
READ_UNDER: dict[str, frozenset[Protocol]] = {
    "supervised": FINE_TUNINGS | {"mlp_probe"},
    "mixture": MIXTURES,
    "probe": MIXTURES | {"linear_probe", "lp_ft"},
    "svm": frozenset({"linear_svm"}),
    "mlp_probe": frozenset({"mlp_probe"}),
    "knn": frozenset({"knn"}),
    "few_shot": frozenset({"few_shot"}),
    "zero_shot": frozenset({"zero_shot"}),
    "lp_ft": frozenset({"lp_ft"}),
    "soup": frozenset({"soup"}),
}
"""Fields of a transfer that some protocols alone read, by those that do."""
NAMED = frozenset({"supervised", "mixture", "probe"})
"""Those of them that the names of finished runs count in under every protocol of their time."""
LATER: frozenset[Protocol] = frozenset({"mlp_probe", "knn"})
"""Protocols that came after that time."""
READ_WITHOUT_EPOCHS = frozenset({"batch_size", "num_threads"})
"""What a transfer without epochs reads of `training`: how it goes through clouds."""


def unread_by(task: Task) -> frozenset[str]:
    """Fields that are for another task."""
    return frozenset().union(*(fields for other, fields in READ_BY.items() if other != task))


def unread_under(protocol: Protocol) -> frozenset[str]:
    """Fields that are for other protocols."""
    return frozenset(name for name, protocols in READ_UNDER.items() if protocol not in protocols)


def require_own_settings(transfer: StrictModel, task: Task) -> None:
    """ValueError where a field for another task is set: by value, as what is written out has every one."""
    for name in sorted(unread_by(task)):
        field = type(transfer).model_fields[name]
        if getattr(transfer, name) != field.get_default(call_default_factory=True):
            other = next(other for other, fields in READ_BY.items() if name in fields)
            raise ValueError(
                f"{name} is set, but task {task} does not read it: leave it out, or set task to {other}"
            )


def require_few_clouds(labelled_scenes: float | None) -> None:
    """ValueError where a classification is given a share of scenes."""
    if labelled_scenes is not None:
        raise ValueError(
            f"labelled_scenes is {labelled_scenes:g}, but task is classification: set samples_per_class, or"
            " task to segmentation"
        )


def require_segmentable(
    protocol: Protocol,
    samples_per_class: int | None,
    segmentation: SegmentationConfig,
    architecture: BackboneConfig,
) -> None:
    """ValueError for a protocol that a segmentation does not have, and for what does not go with it."""
    if protocol not in OF_POINTS:
        raise ValueError(
            f"protocol is {protocol}, which classifies clouds: a segmentation takes {' or '.join(OF_POINTS)}"
        )
    if samples_per_class is not None:
        raise ValueError(
            f"samples_per_class is {samples_per_class}, but a scene has points of many classes: set"
            " labelled_scenes to a share of the scenes"
        )
    require_compatible(segmentation, architecture)
    if protocol == "linear_probe" and segmentation.head != "linear":
        raise ValueError("segmentation.head is mlp, but protocol linear_probe has a linear one")


def figures_of_segmentation(*, is_tested: bool, has_shifted: bool) -> tuple[str, ...]:
    """Metrics of a segmentation's record, as far as its sets have the splits, and parts of objects."""
    tests = ("test", *(["shifted-test"] if has_shifted else [])) if is_tested else ()
    finished = ("target-validation", *tests)
    return (
        *(f"{split}/{figure}" for split in ("validation", *finished) for figure in FIGURES_OF_SEGMENTATION),
        *(f"{split}/{figure}" for split in finished for figure in FIGURES_OF_PARTS),
    )
