"""Fine-tuning a ReCon: one head over all queries and the maximum, and through each of them to the patches."""

import pytest
import torch

from conftest import BACKBONE
from pointlab.backbones.recon import ReconConfig, ReconTransformer
from pointlab.config import validate
from pointlab.data.sample import PointBatch
from pointlab.objectives import HeadConfig
from pointlab.paradigms import Given
from pointlab.paradigms.supervised import Supervised, SupervisedConfig

PARTS = ("class", "image", "text", "maximum")
NUM_CLASSES = 3


@pytest.mark.parametrize("part", PARTS)
def test_the_loss_of_the_head_reaches_the_embedder_through_every_part_that_it_reads(part: str) -> None:
    """A head that is blind to the other parts: what moves is what this one leads to."""
    torch.manual_seed(0)
    config: ReconConfig = validate(ReconConfig, {**BACKBONE, "kind": "recon"}, "test")
    settings = SupervisedConfig(head=HeadConfig(kind="linear"))
    paradigm = Supervised(settings, ReconTransformer(config), Given(NUM_CLASSES))
    (layer,) = paradigm.head
    assert layer.weight.shape == (NUM_CLASSES, len(PARTS) * config.width)
    seen = torch.zeros(len(PARTS), config.width)
    seen[PARTS.index(part)] = 1
    layer.weight.data *= seen.flatten()
    points, rows = torch.randn(4, 48, 3), torch.arange(4)
    paradigm(PointBatch(points, torch.full((4,), 48), rows, rows % NUM_CLASSES)).loss.backward()
    assert all(of_part.any() for of_part in layer.weight.grad.unflatten(1, (len(PARTS), -1)).unbind(1))
    moved = {name for name, token in paradigm.backbone.query_tokens.items() if token.grad.any()}
    assert moved == {part} - {"maximum"}
    first_of_the_embedder = next(paradigm.backbone.embedder.parameters())
    assert first_of_the_embedder.grad.any()
