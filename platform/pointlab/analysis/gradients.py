"""Gradient norms: how strongly fine-tuning would pull at every parameter of a backbone.

The measure of Hadgi et al., "To Supervise or Not to Supervise", ECCV 2024: norms layer by layer show which
layers adapt. Details are ours: for a parameter tensor theta and mini-batches b of the training split,

    gradient_norm          = mean over b of |d L_b / d theta|      L_b: mean cross-entropy, by the head
    relative_gradient_norm = gradient_norm / |theta|

in eval mode, with Euclidean norms. A mini-batch's norm holds its sampling noise, so that figures compare at
equal batch sizes only; a last batch that is shorter than the others holds more and is left out. A stage's
gradient norm is the mean over its tensors; its relative one divides that by the mean of their norms, as a
bias that is still zero has none of its own.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.analysis.subject import Subject
from pointlab.errors import TransferError

Row = dict[str, float | str]


class GradientNorms:
    """Gathers the norms of one subject, batch by batch; no gradient is left at any parameter."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.owned = subject.backbone.parameters_by_depth()
        self.parameters = [parameter for _, group in self.owned for _, parameter in group]
        self.sums = torch.zeros(len(self.parameters), dtype=torch.float64)
        self.num_batches = self.batch_size = 0

    def add(self, pooled: Float[Tensor, "batch features"], labels: Int64[Tensor, " batch"]) -> None:
        """Take the gradients of one batch, given the pooled feature of the last stage with its graph.

        The first batch says how large batches are; shorter ones are left out.
        """
        self.batch_size = self.batch_size or len(labels)
        if len(labels) < self.batch_size:
            return
        scores = self.subject.head(pooled)
        if int(labels.max()) >= scores.shape[1]:
            raise TransferError(
                f"The head of {self.subject.name} knows {scores.shape[1]} classes, and a label is"
                f" {int(labels.max())}.",
                expected="a head for the classes of the analysed data",
                remedy="analyse it on its own classes, or with a fresh head",
            )
        loss = nn.functional.cross_entropy(scores.float(), labels)
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        self.sums += _norms([p.new_zeros(()) if g is None else g for p, g in self._pairs(gradients)])
        self.num_batches += 1

    def by_parameter(self) -> list[Row]:
        """A row per parameter; the relative norm is absent where the parameter is zero."""
        rows, means, norms = list[Row](), self._means(), _norms(self.parameters)
        names = [(stage, name) for stage, group in self.owned for name, _ in group]
        for (stage, name), parameter, mean, norm in zip(names, self.parameters, means, norms, strict=True):
            row: Row = {"subject": self.subject.name, "stage": stage, "parameter": name}
            rows.append(row | {"size": parameter.numel()} | _figures(mean, norm))
        return rows

    def by_stage(self) -> dict[str, Row]:
        """Means over the tensors of each stage; nothing for a stage without parameters."""
        sizes = [len(group) for _, group in self.owned]
        means, norms = self._means().split(sizes), _norms(self.parameters).split(sizes)
        stages = zip(self.subject.backbone.stages, means, norms, strict=True)
        return {
            stage: _figures(mean.mean(), norm.mean()) if len(mean) else {} for stage, mean, norm in stages
        }

    def _means(self) -> Float[Tensor, " parameters"]:
        return self.sums / self.num_batches

    def _pairs(self, gradients: tuple[Tensor | None, ...]) -> list[tuple[Tensor, Tensor | None]]:
        return list(zip(self.parameters, gradients, strict=True))


def _norms(tensors: list[Tensor] | list[nn.Parameter]) -> Float[Tensor, " tensors"]:
    """The Euclidean norm of each, on the CPU."""
    return (
        torch.stack([torch.linalg.vector_norm(tensor.detach().float()) for tensor in tensors]).double().cpu()
    )


def _figures(mean: Float[Tensor, ""], norm: Float[Tensor, ""]) -> Row:
    figures: Row = {"gradient_norm": float(mean)}
    return figures | {"relative_gradient_norm": float(mean / norm)} if norm > 0 else figures
