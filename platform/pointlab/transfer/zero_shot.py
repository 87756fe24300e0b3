"""Zero-shot classification: a cloud's queries are compared with what a text tower says of each class.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023: the class whose row of a bank of texts has the highest cosine with
ratio * text_projection(text query) + image_projection(image query). Nothing is trained.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn

from pointlab.backbones.recon import QueryName
from pointlab.config import StrictModel, require_different
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.objectives.templates import TemplateSet
from pointlab.transfer.probe import predict

Ratio = Annotated[float, Field(ge=0)]


class ZeroShotConfig(StrictModel):
    """The texts that name each class, and how much of the answer is the text query's."""

    templates: TemplateSet = "recon"
    """The sentences that name a class, as the paper's; `held_out` are such as no training here has seen."""
    ratio: Ratio | None = None
    """Weight of the text projection beside that of the image, which is 1; null takes the one of `ratios` with
    the best validation accuracy (the largest of equals), a number needs no validation."""
    ratios: tuple[Ratio, ...] = Field(default=(0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0, 4.0), min_length=1)
    """What the released code sets for one dataset or another, 0.05 to 0.25, and on to where texts decide."""
    _are_different = field_validator("ratios")(require_different)


class ZeroShotHead(nn.Module):
    """Cosines between what the queries in a pooled feature say and each class's row of a bank of texts."""

    def __init__(self, embedding: nn.Linear, bank: Float[Tensor, "classes width"]) -> None:
        super().__init__()
        self.embedding = embedding
        self.register_buffer("bank", bank)
        self.bank: Tensor

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """Scores of the classes, in [-1, 1]."""
        embedded = F.normalize(self.embedding(pooled), dim=1)
        return embedded @ F.normalize(self.bank, dim=1).T


def is_zero_shot(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a `ZeroShotHead`, by their names."""
    return weights.keys() == {"embedding.weight", "embedding.bias", "bank"}


def empty_head(weights: Mapping[str, Tensor]) -> ZeroShotHead:
    """A head of the sizes of these tensors, to load them into."""
    width, num_features = weights["embedding.weight"].shape
    return ZeroShotHead(nn.Linear(num_features, width), torch.empty_like(weights["bank"]))


def summed_bank(features: Float[Tensor, "classes prompts width"]) -> Float[Tensor, "classes width"]:
    """Each class's row: the sum of the features of its prompts, not normalised before, as in the paper."""
    return features.sum(1)


@torch.no_grad()
def folded(
    projections: Mapping[QueryName, nn.Linear], queries: Sequence[QueryName], ratio: float
) -> nn.Linear:
    """The one layer on a pooled feature, [queries in their order, maximum over patches], that gives the sum
    of the projections: the text's times `ratio` where there is an image's beside it, and zero of the rest.
    """
    width, num_features = next((p.in_features, p.out_features) for p in projections.values())
    layer = nn.Linear((len(queries) + 1) * width, num_features).requires_grad_(False)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    for name, projection in projections.items():
        scale = ratio if name == "text" and len(projections) > 1 else 1.0
        first = queries.index(name) * width
        layer.weight[:, first : first + width] = scale * projection.weight
        layer.bias.add_(scale * projection.bias)
    return layer


def choose_ratio(
    heads: Mapping[float, ZeroShotHead], validation: FeatureTable
) -> tuple[float, dict[float, float]]:
    """The ratio whose head has the best validation accuracy (the largest of equals), and the accuracy of
    each."""
    accuracy = {
        ratio: classification_metrics(predict(head, validation.features), validation.labels)["accuracy"]
        for ratio, head in heads.items()
    }
    return max(accuracy, key=lambda ratio: (accuracy[ratio], ratio)), accuracy
