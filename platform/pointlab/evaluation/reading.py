"""Which feature of a cloud a head reads: what heads read in training, what a paper's SVM does, or a stage's.

A name says it, also in the manifest of a stored classifier: `pooled`, `svm`, or `<stage>/<pooling>` such as
`block_2/maximum`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.geometry import real_rows

FeatureName = str
Pooling = Literal["pooled", "maximum", "mean", "maximum_and_mean"]
"""What becomes of the tokens of a stage: what the backbone itself makes of them, or one of the usual two, or
both side by side."""


def feature_name(backbone: Backbone, stage: str, pooling: Pooling) -> FeatureName:
    """The name of that feature: `pooled` for the one that heads read in training."""
    is_usual = (stage, pooling) == (backbone.pooled_stage, "pooled")
    return "pooled" if is_usual else f"{stage}/{pooling}"


def read(
    backbone: Backbone, batch: PointBatch, features: Sequence[FeatureName]
) -> list[Float[Tensor, "batch _"]]:
    """These features of the batch, from one pass, and one more for `svm`.

    Raises ConfigError for an unknown stage, and DataError as `Backbone.forward`.
    """
    places = {name: _place(backbone, name) for name in features if name != "svm"}
    found = backbone.intermediates(batch, list(dict.fromkeys(stage for stage, _ in places.values())))
    values = []
    for name in features:
        if name == "svm":
            values.append(backbone.svm_features(batch))
            continue
        stage, pooling = places[name]
        counts = batch.counts if stage in backbone.point_stages else None
        values.append(
            found[stage].pooled if pooling == "pooled" else pool(found[stage].tokens, counts, pooling)
        )
    return values


def pool(
    tokens: Float[Tensor, "batch tokens width"], counts: Int64[Tensor, " batch"] | None, pooling: str
) -> Float[Tensor, "batch features"]:
    """The maximum of each cloud's tokens, their mean, or both side by side; a single token is all of these.

    `counts` says how many tokens are real, None that all are: tokens of a stage whose tokens are points are
    padded like the points.
    """
    if tokens.shape[1] == 1:
        return tokens.squeeze(1)
    if counts is None:
        maximum, mean = tokens.amax(1), tokens.mean(1)
    else:
        is_real = real_rows(tokens, counts).unsqueeze(2)
        maximum = tokens.masked_fill(~is_real, -torch.inf).amax(1)
        mean = tokens.masked_fill(~is_real, 0).sum(1) / counts.unsqueeze(1)
    return {"maximum": maximum, "mean": mean}.get(pooling, torch.cat([maximum, mean], dim=1))


def _place(backbone: Backbone, name: FeatureName) -> tuple[str, str]:
    """The stage of a feature, and how it is pooled there."""
    if name == "pooled":
        return backbone.pooled_stage, "pooled"
    stage, _, pooling = name.rpartition("/")
    return stage, pooling
