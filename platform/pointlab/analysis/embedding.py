"""Features drawn in two dimensions by t-SNE (van der Maaten and Hinton, JMLR 2008), for the eye."""

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from pointlab.analysis.centring import less_their_mean

_SEED = 0
"""The library's random part is a randomised PCA: a fixed seed gives the same drawing of the same features."""


def embed(features: Float[Tensor, "clouds features"], perplexity: float) -> Float[np.ndarray, "clouds 2"]:
    """A place in the plane for each of at least 4 clouds, begun at their first two principal components.

    `perplexity` is lowered to a third of the other clouds where those are few. Distances between far groups
    mean little in such a drawing, and the sizes of groups nothing. What does not vary is at the origin. The
    library runs on one thread, as its sums, and with them the drawing, depend on how many there are.
    """
    centred = less_their_mean(features)
    spread = centred.abs().max()
    if spread == 0:  # the library would divide by it and end the process
        return np.zeros((len(features), 2), np.float32)
    from sklearn.manifold import TSNE

    capped = min(perplexity, (len(features) - 1) / 3)
    drawing = TSNE(perplexity=capped, init="pca", random_state=_SEED)
    at_least_two = F.pad(centred / spread, (0, max(0, 2 - centred.shape[1])))  # the components it begins at
    with threadpool_limits(1):
        return np.asarray(drawing.fit_transform(at_least_two.float().numpy()))
