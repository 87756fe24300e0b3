"""Voting at test: the mean of a classifier's logits over several augmented views of each cloud.

As in Point-BERT, Point-MAE and ReCon, whose code repeats its ten votes up to 299 times and reports the best
repetition; here there is one, drawn by the seed, as choosing among them would be choosing on the test split.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.sample import PointBatch
from pointlab.evaluation import FeatureName
from pointlab.evaluation.reading import read
from pointlab.transfer.probe import predict


class VotingConfig(StrictModel):
    """How many views are shown, and how they are drawn."""

    votes: int = Field(default=10, ge=2)
    """As in the papers; a single view would be no vote."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """A random subset of the points, scaled and moved, as Point-BERT, Point-MAE and ACT vote. ReCon's votes
    on ModelNet are only scaled (translation: 0); on ScanObjectNN's hardest variant they are turned about the
    vertical axis, and on its others not moved at all."""

    @property
    def stamp(self) -> str:
        """What a table may compare: equal numbers of votes."""
        return f"voting-{self.votes}"


@torch.no_grad()
def vote(
    backbone: Backbone,
    head: nn.Module,
    batches: Iterable[PointBatch],
    device: torch.device,
    feature: FeatureName = "pooled",
) -> tuple[Float[Tensor, "samples classes"], Int64[Tensor, " samples"]]:
    """Mean logits over each batch and its further views, and the labels; in eval mode, on the CPU."""
    backbone.to(device).eval()
    head.to("cpu")
    logits, labels = [], []
    for batch in batches:
        assert batch.labels is not None, "a batch always carries labels, -1 where there are none"
        shown = (replace(batch, views=()), *batch.views)  # else it would take all views along to the device
        views = (read(backbone, view.to(device), [feature])[0] for view in shown)
        logits.append(torch.stack([predict(head, features.float().cpu()) for features in views]).mean(0))
        labels.append(batch.labels)
    return torch.cat(logits), torch.cat(labels)
