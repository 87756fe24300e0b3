"""Figures of a classification: overall accuracy, and the mean of the classes' accuracies."""

from jaxtyping import Float, Int64
from torch import Tensor


def classification_metrics(
    logits: Float[Tensor, "samples classes"], labels: Int64[Tensor, " samples"]
) -> dict[str, float]:
    """`accuracy` and `mean_class_accuracy` (over the classes that occur), both in [0, 1]."""
    correct = logits.argmax(1) == labels
    by_class = [correct[labels == label].double().mean() for label in labels.unique()]
    return {
        "accuracy": float(correct.double().mean()),
        "mean_class_accuracy": float(sum(by_class) / len(by_class)),
    }
