"""Classification heads: from the pooled feature of a backbone to class scores.

The two heads of the transfer protocols of Point-MAE (Pang et al., ECCV 2022) and ACT (Dong et al., ICLR
2023): a single linear layer (MLP-LINEAR), and three layers (MLP-3 and full fine-tuning). And that of
Point-BERT (Yu et al., CVPR 2022): two layers.
"""

from typing import Literal

from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointlab.config import StrictModel

HIDDEN_WIDTHS, DROPOUT = (256, 256), 0.5
"""Of the papers' head for fine-tuning."""


class HeadConfig(StrictModel):
    """Which head. A linear one has neither hidden layers nor dropout, and refuses settings of them; of two
    layers the first is as wide as the first of `hidden_widths`, and the second entry may only repeat it."""

    kind: Literal["linear", "mlp2", "mlp3"] = "mlp3"
    """The papers' head for fine-tuning."""
    hidden_widths: tuple[PositiveInt, PositiveInt] = HIDDEN_WIDTHS
    """As in those papers; PointNet, PointNet++, DGCNN and PointMLP take 512 and 256."""
    dropout: float = Field(default=DROPOUT, ge=0, lt=1)
    """As in those papers."""

    @model_validator(mode="after")
    def _all_settings_count(self) -> "HeadConfig":
        """By value, as a written-out configuration has every setting, defaults included."""
        if self.kind == "linear" and (self.hidden_widths, self.dropout) != (HIDDEN_WIDTHS, DROPOUT):
            raise ValueError(
                "kind is linear, a head without hidden layers and dropout: leave out hidden_widths and"
                " dropout, or set kind to mlp2 or mlp3"
            )
        first, second = self.hidden_widths
        if self.kind == "mlp2" and second not in {first, HIDDEN_WIDTHS[1]}:
            raise ValueError(
                f"kind is mlp2, a head with one hidden layer, but hidden_widths are {first} and {second}:"
                f" set them to [{first}, {first}], or kind to mlp3"
            )
        return self


class Head(nn.Sequential):
    """Layers from pooled features to class scores, initialised as PyTorch does by default."""

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """Scores of the classes before any softmax."""
        for layer in self:
            pooled = layer(pooled)
        return pooled


class LinearHead(Head):
    """One linear layer: what is linearly separable in the features, and nothing more."""

    def __init__(self, _config: HeadConfig, num_features: int, num_classes: int) -> None:
        super().__init__(nn.Linear(num_features, num_classes))


class MLP2Head(Head):
    """Two linear layers with ReLU and dropout between them, without batch normalisation."""

    def __init__(self, config: HeadConfig, num_features: int, num_classes: int) -> None:
        hidden = config.hidden_widths[0]
        super().__init__(
            nn.Linear(num_features, hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, num_classes),
        )


class MLP3Head(Head):
    """Three linear layers; batch normalisation, ReLU and dropout follow the first two."""

    def __init__(self, config: HeadConfig, num_features: int, num_classes: int) -> None:
        first, second = config.hidden_widths
        super().__init__(
            *_hidden_layer(num_features, first, config.dropout),
            *_hidden_layer(first, second, config.dropout),
            nn.Linear(second, num_classes),
        )


def _hidden_layer(num_inputs: int, num_outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(num_inputs, num_outputs), nn.BatchNorm1d(num_outputs), nn.ReLU(), nn.Dropout(dropout)]


HEADS: dict[str, type[LinearHead] | type[MLP2Head] | type[MLP3Head]] = {
    "linear": LinearHead,
    "mlp2": MLP2Head,
    "mlp3": MLP3Head,
}


def build_head(config: HeadConfig, num_features: int, num_classes: int) -> Head:
    """The freshly initialised head that `config` describes."""
    return HEADS[config.kind](config, num_features, num_classes)
