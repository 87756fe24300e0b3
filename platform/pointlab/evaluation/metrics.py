"""Figures of a classification: overall accuracy, and the mean of the classes' accuracies."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor


def classification_metrics(
    logits: Float[Tensor, "samples classes"], labels: Int64[Tensor, " samples"]
) -> dict[str, float]:
    """`accuracy` and `mean_class_accuracy` (over the classes that occur), both in [0, 1]."""
    return shares_of(logits.argmax(1) == labels, labels)


def shares_of(is_correct: Bool[Tensor, " samples"], labels: Int64[Tensor, " samples"]) -> dict[str, float]:
    """The same of answers that are known to be right or wrong."""
    by_class = [is_correct[labels == label].double().mean() for label in labels.unique()]
    return {
        "accuracy": float(is_correct.double().mean()),
        "mean_class_accuracy": float(sum(by_class) / len(by_class)),
    }
