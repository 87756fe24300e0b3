"""The projector of contrastive training: from a pooled feature to the space in which views are compared.

SimCLR (Chen et al., ICML 2020, section 4.2) compares after two layers, and keeps what is in front of them:
what the loss makes invariant is lost in the projector, not in the backbone.
"""

from pydantic import PositiveInt
from torch import nn

from pointlab.config import StrictModel


class ProjectorConfig(StrictModel):
    """Two linear layers with ReLU in between, as in SimCLR and MoCo v2."""

    hidden_width: PositiveInt | None = None
    """null: as wide as the pooled feature, as in SimCLR."""
    width: PositiveInt = 128
    """Where views are compared; SimCLR finds no difference between 32 and 2048, and MoCo has 128 as well."""
    batch_norm: bool = True
    """Normalise the hidden layer, as SimCLR's released code does; its equation and MoCo v2 do without."""


def build_projector(config: ProjectorConfig, num_features: int) -> nn.Sequential:
    """The freshly initialised projector that `config` describes."""
    hidden = config.hidden_width or num_features
    norm = [nn.BatchNorm1d(hidden)] if config.batch_norm else []
    first = nn.Linear(num_features, hidden, bias=not config.batch_norm)  # BatchNorm would cancel a bias
    return nn.Sequential(first, *norm, nn.ReLU(), nn.Linear(hidden, config.width))
