"""Features drawn in two dimensions by t-SNE (van der Maaten and Hinton, JMLR 2008), for the eye."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointlab.analysis.stage_features import less_their_mean

_SEED = 0
"""The library's random part is a randomised PCA: a fixed seed gives the same drawing of the same features."""


def evenly_spaced_rows(num_rows: int, limit: int) -> Int64[Tensor, " chosen"]:
    """At most `limit` of the rows, at even distances, the first among them."""
    num_chosen = min(limit, num_rows)
    return torch.arange(num_chosen) * num_rows // num_chosen


def embed(features: Float[Tensor, "clouds features"], perplexity: float) -> Float[np.ndarray, "clouds 2"]:
    """A place in the plane for each of at least 4 clouds, begun at their first two principal components.

    `perplexity` is lowered to a third of the other clouds where those are few. Distances between far groups
    mean little in such a drawing, and the sizes of groups nothing. What does not vary is at the origin.
    """
    centred = less_their_mean(features)
    spread = centred.abs().max()
    if spread == 0:  # the library would divide by it and end the process
        return np.zeros((len(features), 2), np.float32)
    from sklearn.manifold import TSNE

    capped = min(perplexity, (len(features) - 1) / 3)
    drawing = TSNE(perplexity=capped, init="pca", random_state=_SEED)
    return np.asarray(drawing.fit_transform((centred / spread).float().numpy()))
