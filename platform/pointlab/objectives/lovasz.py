"""Lovász-Softmax: a loss whose minimum is that of the mean intersection over union, not of the accuracy.

Berman, Rannen Triki and Blaschko, "The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of the
Intersection-over-Union Measure in Neural Networks", CVPR 2018. The Jaccard loss of a class is a function of
the set of points on which it is wrong. It is submodular, so that its Lovász extension carries it over from
sets to errors between 0 and 1 and is convex: sort the errors from the largest to the smallest, and weigh each
by what its point adds to the loss of the set of all before it (section 2; section 3 for several classes).
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

UNLABELLED = -1
"""The label of a point that counts in no loss and no figure."""


def lovasz_softmax(
    logits: Float[Tensor, "points classes"], labels: Int64[Tensor, " points"]
) -> Float[Tensor, ""]:
    """The mean over the classes among the labels of each one's Jaccard loss, extended to probabilities.

    The error of a point for a class is 1 - p where it is the point's own and p where it is not.
    Points without a label take no part; without any that has one, the loss is 0, and so are its gradients.
    """
    is_labelled = labels != UNLABELLED
    present = labels[is_labelled].unique()
    if len(present) == 0:
        return (logits * 0).sum()
    probabilities = logits[is_labelled].float().softmax(1)[:, present]
    is_own = (labels[is_labelled, None] == present).to(probabilities.dtype)
    errors, order = (is_own - probabilities).abs().sort(dim=0, descending=True)
    steps = jaccard_steps(is_own.gather(0, order))
    loss: Tensor = (errors * steps).sum(0).mean()
    return loss


def jaccard_steps(is_own: Float[Tensor, "points classes"]) -> Float[Tensor, "points classes"]:
    """What each point adds to the Jaccard loss, where the points before it are wrong and now it is too.

    `is_own` is 1 where a point belongs to the class of the column, which must have one, else 0. The loss of a
    set M of wrong points is |M| over the union of M and the points of the class.
    """
    total = is_own.sum(0)
    found = total - is_own.cumsum(0)
    union = total + (1 - is_own).cumsum(0)
    losses = 1 - found / union
    return torch.cat([losses[:1], losses.diff(dim=0)])
