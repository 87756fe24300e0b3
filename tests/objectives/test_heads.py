"""What the heads promise, and the count of correct answers."""

import pytest
import torch
from torch import nn

from pointlab.objectives import HEADS, HeadConfig, build_head


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_maps_features_to_a_score_per_class(kind: str) -> None:
    head = build_head(HeadConfig(kind=kind), num_features=12, num_classes=5)
    assert head(torch.randn(4, 12)).shape == (4, 5)


@pytest.mark.parametrize("kind", HEADS)
def test_the_same_seed_gives_the_same_head(kind: str) -> None:
    def weights() -> list[torch.Tensor]:
        torch.manual_seed(0)
        return list(build_head(HeadConfig(kind=kind), num_features=12, num_classes=5).parameters())

    assert all(torch.equal(one, two) for one, two in zip(weights(), weights(), strict=True))


def test_the_linear_head_is_one_affine_map() -> None:
    head = build_head(HeadConfig(kind="linear"), num_features=12, num_classes=5)
    features = torch.randn(4, 12)
    (layer,) = head
    torch.testing.assert_close(head(features), features @ layer.weight.T + layer.bias)


def test_the_three_layer_head_has_the_layers_of_the_official_checkpoints() -> None:
    """Their keys number the layers: weights at 0, 4 and 8, batch normalisation at 1 and 5."""
    head = build_head(HeadConfig(hidden_widths=(7, 7), dropout=0.25), num_features=12, num_classes=5)
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items() if "weight" in name}
    assert shapes == {
        "0.weight": (7, 12), "1.weight": (7,), "4.weight": (7, 7), "5.weight": (7,), "8.weight": (5, 7)
    }  # fmt: skip
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert [index for index, layer in enumerate(head) if isinstance(layer, nn.ReLU)] == [2, 6]
