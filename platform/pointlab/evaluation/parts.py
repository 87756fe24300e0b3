"""Part segmentation of objects: instance and class mIoU, as ShapeNetPart is reported.

Yi et al. ("A Scalable Active Framework for Region Annotation in 3D Shape Collections", SIGGRAPH Asia 2016)
and PointNet (Qi et al., CVPR 2017): each point of a shape is given one of the parts of the shape's own
category, the IoU of a shape is the mean over these parts, and a part that neither occurs nor is given counts
as 1. Instance mIoU is the mean over shapes, class mIoU the mean over categories of the mean over their
shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor

PartsOfClass = tuple[tuple[int, ...], ...]
"""The part labels of each category, by its label."""


def parts_by_class(class_names: Sequence[str], part_names: Sequence[str]) -> PartsOfClass | None:
    """The parts of every category by their names, `Chair:leg` or `Chair:0`, and by no label of any cloud.

    None where part names are not of this form, as those of a scene: such parts belong to no category.
    """
    owners = [name.partition(":")[0] for name in part_names]
    if not all(":" in name for name in part_names) or set(owners) != set(class_names):
        return None
    return tuple(tuple(part for part, owner in enumerate(owners) if owner == name) for name in class_names)


def shape_iou(
    scores: Float[Tensor, "points parts"], labels: Int64[Tensor, " points"], own: Sequence[int]
) -> float:
    """Mean IoU of one shape over its category's `own` parts; points without a label count nowhere."""
    is_labelled, parts = labels >= 0, torch.as_tensor(own)
    named, truth = parts[scores[is_labelled][:, parts].argmax(1)], labels[is_labelled]
    ious = []
    for part in own:
        is_named, is_part = named == part, truth == part
        union = int((is_named | is_part).sum())
        ious.append(int((is_named & is_part).sum()) / union if union else 1.0)
    return sum(ious) / len(ious)


@dataclass
class ShapeIous:
    """The IoU of one shape after the other, and the category of each."""

    parts: PartsOfClass
    ious: list[float] = field(default_factory=list)
    categories: list[int] = field(default_factory=list)

    def add(
        self, category: int, scores: Float[Tensor, "points parts"], labels: Int64[Tensor, " points"]
    ) -> None:
        """Count a shape in; one without any labelled point tells nothing."""
        if bool((labels >= 0).any()):
            self.ious.append(shape_iou(scores, labels, self.parts[category]))
            self.categories.append(category)

    def figures(self, class_names: Sequence[str]) -> dict[str, float]:
        """`part_metrics` of all shapes; none where there are no shapes."""
        return part_metrics(self.ious, self.categories, class_names) if self.ious else {}


def part_metrics(
    ious: Sequence[float], categories: Sequence[int], class_names: Sequence[str]
) -> dict[str, float]:
    """`instance_miou`, `class_miou` over the categories that occur, and `class_iou/<category>` of each."""
    by_class: dict[int, list[float]] = {}
    for category, iou in zip(categories, ious, strict=True):
        by_class.setdefault(category, []).append(iou)
    means = {category: sum(found) / len(found) for category, found in sorted(by_class.items())}
    return {
        "instance_miou": sum(ious) / len(ious),
        "class_miou": sum(means.values()) / len(means),
        **{f"class_iou/{class_names[category]}": mean for category, mean in means.items()},
    }
