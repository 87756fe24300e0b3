"""A vote of the nearest training clouds on frozen features: a classifier of which nothing is trained.

As in Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (CVPR 2018),
section 3.4, but for votes that count alike: nearness only decides between classes of equally many votes.
Of clouds that are equally near, such as two copies of one, the first is taken.
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn

from pointlab.config import require_different
from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.transfer.chosen import Chosen
from pointlab.transfer.read_grid import ReadGrid

Metric = Literal["cosine", "euclidean"]
NO_VOTE = 1e-3
"""Votes of a class that has none, whose logarithm is to be finite."""
ROUNDING = 1e-12
"""Squared distances, relative to the squared lengths that they are differences of, which are none."""
ROWS_TOGETHER = 1024
"""Queries compared with all known clouds at once: bounds the matrix of distances."""


class KnnConfig(ReadGrid):
    """Numbers of voters and measures of nearness to choose from."""

    num_neighbours: tuple[PositiveInt, ...] = Field(default=(1, 5, 10, 20), min_length=1)
    """From the nearest alone to the 20 that self-supervised pretraining is usually compared at; numbers that
    there are too few clouds for are left out."""
    metrics: tuple[Metric, ...] = Field(default=("cosine", "euclidean"), min_length=1)
    """cosine looks past the length of a feature, which may or may not say something of the class."""
    _are_different = field_validator("num_neighbours", "metrics")(require_different)

    def possible(self, num_clouds: int) -> tuple[int, ...]:
        """The numbers of voters that so many clouds can be asked for, the largest first."""
        return tuple(sorted((count for count in self.num_neighbours if count <= num_clouds), reverse=True))


class KnnHead(nn.Module):
    """Votes of the nearest known clouds; it has no weights, and no gradients that would mean anything."""

    def __init__(self, known: FeatureTable, num_classes: int, num_neighbours: int, metric: Metric) -> None:
        """The clouds of `known` vote; labels are below `num_classes`."""
        super().__init__()
        self.register_buffer("known", known.features)
        self.register_buffer("labels", known.labels)
        self.register_buffer("num_classes", torch.tensor(num_classes))
        self.register_buffer("num_neighbours", torch.tensor(num_neighbours))
        self.register_buffer("is_cosine", torch.tensor(metric == "cosine"))
        self.known: Tensor
        self.labels: Tensor
        self.num_classes: Tensor
        self.num_neighbours: Tensor
        self.is_cosine: Tensor

    def forward(self, features: Float[Tensor, "queries features"]) -> Float64[Tensor, "queries classes"]:
        """Logarithms of the classes' votes: their softmax is the share of the votes that each class has."""
        nearness, rows = self.nearest(features, int(self.num_neighbours))
        return vote(nearness, self.labels[rows], int(self.num_classes)).clamp_min(NO_VOTE).log()

    def nearest(
        self, features: Float[Tensor, "queries features"], count: int
    ) -> tuple[Float64[Tensor, "queries count"], Int64[Tensor, "queries count"]]:
        """How near, from -1 to 1, the nearest known clouds are, and which; the nearest first."""
        known, queries = self.known.double(), features.double()
        if bool(self.is_cosine):  # whose order is that of the distances on the unit sphere
            known, queries = F.normalize(known, dim=1), F.normalize(queries, dim=1)
        middle = known.mean(0)
        known, queries = known - middle, queries - middle
        parts = [nearest_rows(some, known, count) for some in queries.split(ROWS_TOGETHER)]
        squared, rows = (torch.cat(same) for same in zip(*parts, strict=True))
        nearness = 1 - squared / 2 if bool(self.is_cosine) else 2 / (1 + squared.sqrt()) - 1
        return nearness.clamp(-1, 1), rows


def nearest_rows(
    queries: Float64[Tensor, "queries features"], known: Float64[Tensor, "known features"], count: int
) -> tuple[Float64[Tensor, "queries count"], Int64[Tensor, "queries count"]]:
    """Squared distances of the nearest known rows, and which they are: the nearest, and of equals the first.

    By products in float64 of rows about zero, rounded to float32, lest the last bits of a product, which
    depend on what else is in it, decide between equals.
    """
    lengths = queries.square().sum(1, keepdim=True) + known.square().sum(1)
    squared = torch.addmm(lengths, queries, known.T, alpha=-2)
    squared.masked_fill_(squared <= ROUNDING * lengths, 0)
    bits = squared.float().view(torch.int32).long()  # of numbers without a sign: their order is the numbers'
    order = (bits << 32) | torch.arange(len(known), device=known.device)
    chosen = order.topk(count, dim=1, largest=False).values
    return (chosen >> 32).int().view(torch.float32).double(), chosen & 0xFFFFFFFF


def vote(
    nearness: Float64[Tensor, "queries voters"], labels: Int64[Tensor, "queries voters"], num_classes: int
) -> Float64[Tensor, "queries classes"]:
    """One for each voter, and a share that is below one in sum, and the larger the nearer it is."""
    shares = (1 + nearness) / (4 * nearness.shape[1])
    votes = torch.zeros(len(nearness), num_classes, dtype=torch.float64, device=nearness.device)
    return votes.scatter_add_(1, labels, 1 + shares)


def fit_knn(train: FeatureTable, validation: FeatureTable, num_classes: int, config: KnnConfig) -> Chosen:
    """The vote with the best validation accuracy; of equals the most voters, and then the first metric.

    Numbers of voters that there are too few clouds for are left out. Raises DataError where a cloud has no
    label, or where that leaves none.
    """
    for table in (train, validation):
        table.require_labels("A vote of nearest neighbours")
    if not (possible := config.possible(len(train.labels))):
        raise DataError(
            f"{min(config.num_neighbours)} nearest neighbours were asked of {len(train.labels)} clouds.",
            expected="at least as many training clouds as neighbours",
            remedy="lower knn.num_neighbours, or raise samples_per_class",
        )
    best: Chosen | None = None
    for metric in config.metrics:
        head = KnnHead(train, num_classes, possible[0], metric)
        nearness, rows = head.nearest(validation.features, possible[0])
        for count in possible:
            votes = vote(nearness[:, :count], train.labels[rows[:, :count]], num_classes)
            accuracy = classification_metrics(votes, validation.labels)["accuracy"]
            if best is None or accuracy > best.accuracy:
                chosen = KnnHead(train, num_classes, count, metric)
                best = Chosen(chosen, accuracy, {"num_neighbours": count, "metric": metric})
    assert best is not None, "there is a metric and a number at least"
    return best


def is_knn(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a `KnnHead`, by their names."""
    return weights.keys() == {"known", "labels", "num_classes", "num_neighbours", "is_cosine"}


def empty_knn(weights: Mapping[str, Tensor]) -> KnnHead:
    """A head of the sizes of these tensors, to load them into."""
    return KnnHead(FeatureTable(weights["known"], weights["labels"]), 1, 1, "euclidean")
