"""Coefficients by depth reach every entry of a backbone, stage by stage."""

import pytest
import torch

from backbones.tiny import TINY
from pointlab.backbones import Backbone, build_backbone
from pointlab.errors import TransferError
from pointlab.transfer import interpolate
from pointlab.transfer.by_depth import coefficients_by_depth

DEEP = [kind for kind in TINY if kind != "patch_embedding"]
"""The kinds that have more than one stage."""


def two_backbones(kind: str) -> tuple[Backbone, Backbone]:
    """Equal in nothing, counters of batches included."""
    torch.manual_seed(0)
    one, other = build_backbone(TINY[kind]), build_backbone(TINY[kind])
    with torch.no_grad():
        for number, backbone in enumerate((one, other)):
            for tensor in backbone.state_dict().values():
                tensor.copy_(torch.randn(tensor.shape) if tensor.is_floating_point() else tensor + number)
    return one, other


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_equal_values_are_the_scalar_mixture_to_the_byte(kind: str, value: float) -> None:
    one, other = two_backbones(kind)
    by_depth = interpolate(one.state_dict(), other.state_dict(), coefficients_by_depth(one, (value, value)))
    scalar = interpolate(one.state_dict(), other.state_dict(), value)
    assert by_depth.keys() == scalar.keys()
    for name, tensor in scalar.items():
        assert torch.equal(by_depth[name], tensor)
        assert torch.equal(torch.signbit(by_depth[name]), torch.signbit(tensor))


@pytest.mark.parametrize("kind", DEEP)
def test_the_first_stage_and_the_one_that_heads_read_have_the_first_and_the_last_value(kind: str) -> None:
    backbone, _ = two_backbones(kind)
    found = coefficients_by_depth(backbone, (0.25, 0.75))
    assert found.keys() == backbone.state_dict().keys()
    by_stage = {
        stage: {found[n] for n in found if backbone.stage_of(n) == stage} for stage in backbone.stages
    }
    assert by_stage[backbone.stages[0]] == {0.25}
    assert by_stage[backbone.pooled_stage] == by_stage[backbone.stages[-1]] == {0.75}
    values = [value for stage in backbone.stages for value in by_stage[stage]]
    assert len(values) == len(backbone.stages)
    assert values == sorted(values)


def test_stages_between_control_values_are_interpolated_linearly() -> None:
    backbone, _ = two_backbones("pointnet")  # of five stages
    found = coefficients_by_depth(backbone, (0.0, 1.0, 0.5))
    of_layers = [found[f"layers.{number}.linear.weight"] for number in range(5)]
    assert of_layers == pytest.approx([0.0, 0.5, 1.0, 0.75, 0.5])
    assert found["input_transform.out.bias"] == 0.0  # of the first stage
    assert found["feature_transform.out.bias"] == 1.0  # of the third


def test_a_mixture_takes_each_entry_at_its_own_coefficient() -> None:
    one, other = two_backbones("pointnet")
    start, end = one.state_dict(), other.state_dict()
    mixed = interpolate(start, end, coefficients_by_depth(one, (0.0, 1.0)))
    for name, share in coefficients_by_depth(one, (0.0, 1.0)).items():
        if end[name].is_floating_point():
            assert torch.allclose(mixed[name], (1 - share) * start[name] + share * end[name], atol=1e-6), name
    assert torch.equal(mixed["layers.0.norm.num_batches_tracked"], start["layers.0.norm.num_batches_tracked"])
    assert torch.equal(mixed["layers.1.norm.num_batches_tracked"], end["layers.1.norm.num_batches_tracked"])


def test_more_values_than_stages_are_refused() -> None:
    backbone, _ = two_backbones("patch_embedding")
    assert len(backbone.stages) == 1
    with pytest.raises(TransferError, match="2 coefficients by depth"):
        coefficients_by_depth(backbone, (0.1, 0.9))
