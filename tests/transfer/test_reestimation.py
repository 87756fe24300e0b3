"""Re-estimation of BatchNorm goes as far into a network as there is something to estimate."""

import copy

import pytest
import torch

from backbones.tiny import TINY
from pointlab.backbones import Backbone, BackboneConfig, PatchTransformer, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.transfer import reestimate

CPU = torch.device("cpu")


def random_batches() -> list[PointBatch]:
    points = torch.randn(2, 3, 40, 3, generator=torch.Generator().manual_seed(1))
    return [PointBatch(some, torch.full((3,), 40), torch.arange(3)) for some in points]


def with_statistics_of_something_else(config: BackboneConfig) -> Backbone:
    """A backbone whose running statistics are not those that it is built with."""
    torch.manual_seed(0)
    backbone = build_backbone(config)
    for buffer in backbone.buffers():
        buffer.fill_(7)
    return backbone


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_statistics_are_those_of_a_pass_to_the_pooled_feature(config: BackboneConfig) -> None:
    one = with_statistics_of_something_else(config)
    other, before = copy.deepcopy(one), copy.deepcopy(list(one.buffers()))
    reestimate([one], random_batches(), CPU)
    reestimate([other], random_batches(), CPU, Backbone.__call__)
    assert all(map(torch.equal, one.buffers(), other.buffers()))
    assert not all(map(torch.equal, one.buffers(), before))


@pytest.mark.parametrize("kind", ["pointnet2-decoder", "sparse_unet"])
def test_a_decoder_that_no_pooled_feature_needs_keeps_its_statistics(kind: str) -> None:
    backbone = with_statistics_of_something_else(TINY[kind])
    before = copy.deepcopy(backbone.state_dict())
    reestimate([backbone], random_batches(), CPU)
    after = backbone.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    stages = backbone.stages
    last = stages.index(backbone.pooled_stage)
    assert changed
    assert all(stages.index(backbone.stage_of(name)) <= last for name in changed)
    assert any(stages.index(backbone.stage_of(name)) > last for name in after if "running" in name)


def test_blocks_beyond_the_last_statistics_are_not_computed() -> None:
    backbone = build_backbone(TINY["patch_transformer"])
    assert isinstance(backbone, PatchTransformer)
    passed: list[object] = []
    for block in backbone.blocks:
        block.register_forward_hook(lambda *given: passed.append(given))
    reestimate([backbone], random_batches(), CPU)
    assert passed == []
    backbone(random_batches()[0])
    assert len(passed) == len(backbone.blocks)
