"""What the heads promise: their layers, and that no setting is passed over."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
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


def test_the_two_layer_head_has_the_layers_of_point_berts_checkpoints() -> None:
    """Their keys number the layers: weights at 0 and 3, and no batch normalisation."""
    head = build_head(HeadConfig(kind="mlp2", hidden_widths=(7, 7), dropout=0.25), 12, num_classes=5)
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items() if "weight" in name}
    assert shapes == {"0.weight": (7, 12), "3.weight": (5, 7)}
    assert isinstance(head[1], nn.ReLU)
    assert isinstance(head[2], nn.Dropout)
    assert head[2].p == 0.25


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "linear", "dropout": 0.1}, "leave out hidden_widths and dropout"),
        ({"kind": "linear", "hidden_widths": [256, 128]}, "leave out hidden_widths and dropout"),
        ({"kind": "mlp2", "hidden_widths": [256, 128]}, r"set them to \[256, 256\]"),
    ],
)
def test_settings_that_a_head_has_no_use_for_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        HeadConfig.model_validate(settings)
    plain = HeadConfig.model_validate({"kind": settings["kind"]})
    assert HeadConfig.model_validate(plain.model_dump(mode="json")) == plain
