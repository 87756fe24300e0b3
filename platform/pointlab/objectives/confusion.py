"""What a segmentation got right and wrong, class by class, as counts that add up over clouds and workers.

The mean intersection over union of a split is that of its sums: a mean over batches would be another figure,
in which a class counts in the batches that have it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of points with a label, by class: named rightly, labelled as it, and named as it."""

    right: Float64[Tensor, " classes"]
    labelled: Float64[Tensor, " classes"]
    named: Float64[Tensor, " classes"]

    @classmethod
    def none(cls, num_classes: int) -> "ClassCounts":
        """Those of no points."""
        return cls(*(torch.zeros(num_classes, dtype=torch.float64) for _ in fields(cls)))

    @classmethod
    def of(cls, scores: Float[Tensor, "points classes"], labels: Int64[Tensor, " points"]) -> "ClassCounts":
        """Counts of points by their highest scores; a negative label is none, its point counts nowhere."""
        num_classes, is_labelled = scores.shape[1], labels >= 0
        truth, named = labels[is_labelled], scores.argmax(1)[is_labelled]
        return cls(
            *(
                torch.bincount(classes, minlength=num_classes).double()
                for classes in (truth[truth == named], truth, named)
            )
        )

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(self.right + other.right, self.labelled + other.labelled, self.named + other.named)

    @property
    def iou(self) -> Float64[Tensor, " classes"]:
        """Intersection over union of every class, whatever the counts were divided by.

        NaN of a class that no point is labelled as.
        """
        union = self.labelled + self.named - self.right
        return torch.where(self.labelled > 0, self.right / union, torch.nan)

    def figures(self) -> dict[str, float]:
        """`miou` and `mean_class_accuracy`, over the classes that occur among the labels, and `accuracy`.

        All are in [0, 1]; without any label they are 0, as nothing was shown to be right.
        """
        occurs = self.labelled > 0
        if not bool(occurs.any()):
            return dict.fromkeys(("miou", "mean_class_accuracy", "accuracy"), 0.0)
        by_class = self.right[occurs] / self.labelled[occurs]
        return {
            "miou": float(self.iou[occurs].mean()),
            "mean_class_accuracy": float(by_class.mean()),
            "accuracy": float(self.right.sum() / self.labelled.sum()),
        }

    def entries(self, size: int) -> dict[str, Float64[Tensor, ""]]:
        """The counts one by one by name, each divided by `size`, as figures of a batch of that size are."""
        return {
            f"{field.name}/{label}": count / size
            for field in fields(self)
            for label, count in enumerate(getattr(self, field.name))
        }

    @classmethod
    def taken_from(cls, figures: Mapping[str, float]) -> tuple["ClassCounts", dict[str, float]]:
        """The counts that `entries` put among these figures, up to a factor, and the other figures."""
        found = {field.name: cls._column(figures, field.name) for field in fields(cls)}
        others = {name: value for name, value in figures.items() if name.partition("/")[0] not in found}
        return cls(**found), others

    @staticmethod
    def _column(figures: Mapping[str, float], name: str) -> Float64[Tensor, " classes"]:
        prefix = f"{name}/"
        by_class = {int(key.removeprefix(prefix)): figures[key] for key in figures if key.startswith(prefix)}
        return torch.tensor([by_class[label] for label in sorted(by_class)], dtype=torch.float64)
