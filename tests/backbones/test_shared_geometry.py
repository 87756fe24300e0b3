"""What networks find of a batch's points alone: once for all of them, bit for bit the same, and no longer."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.tiny import TINY
from pointlab import geometry
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.data.sample import PointBatch

SEARCHES: tuple[Callable[..., Any], ...] = (
    geometry.farthest_point_sample,
    geometry.nearest_neighbours,
    geometry.ball_neighbours,
    geometry.voxelise,
    geometry.submanifold_map,
    geometry.strided_map,
)
"""What looks at coordinates; `feature_neighbours` looks at features, which are each network's own."""

ALL = pytest.mark.parametrize("config", TINY.values(), ids=TINY)


class Counter:
    """Calls of some functions, which do what they do."""

    def __init__(self) -> None:
        self.calls = 0

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.calls += 1
            return function(*given, **named)

        return counted


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts what is searched for, whoever does it."""
    counter = Counter()
    for function in SEARCHES:
        counted = counter.counting(function)
        for name, module in list(sys.modules.items()):
            if name.startswith("pointlab.") and getattr(module, function.__name__, None) is function:
                monkeypatch.setattr(module, function.__name__, counted)
    return counter


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection: what lives on in a cycle is seen to."""
    gc.disable()
    yield
    gc.enable()


def seeded(config: BackboneConfig, seed: int) -> Backbone:
    torch.manual_seed(seed)
    return build_backbone(config)


def padded_batch() -> PointBatch:
    points = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(1))
    points[1, 31:] = 0
    return PointBatch(points, torch.tensor([40, 31, 40]), torch.arange(3))


def everything(backbone: Backbone, batch: PointBatch) -> list[Tensor]:
    """What the network says of the batch at every stage."""
    found = backbone.intermediates(batch, backbone.stages).values()
    return [part for features in found for part in (features.tokens, features.positions, features.pooled)]


def trained(backbone: Backbone, batch: PointBatch) -> list[Tensor]:
    """Gradients and running statistics after a step's forward and backward pass in training mode."""
    torch.manual_seed(5)  # of drop path
    told = everything(backbone.train(), batch)
    torch.stack([part.square().mean() for part in told]).sum().backward()
    gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
    return [*gradients, *backbone.buffers()]


@ALL
def test_networks_of_one_kind_search_a_batch_once(config: BackboneConfig, searches: Counter) -> None:
    first, second, batch = seeded(config, 0).eval(), seeded(config, 1).eval(), padded_batch()
    shared = everything(first, batch)
    for_one = searches.calls
    assert (for_one > 0) == (config.kind != "pointnet")
    shared += everything(second, batch)
    assert searches.calls == for_one
    apart = everything(first, padded_batch()) + everything(second, padded_batch())
    assert searches.calls == 3 * for_one
    assert all(map(torch.equal, shared, apart))


@ALL
def test_a_training_step_does_not_notice_who_looked_at_its_batch_before(config: BackboneConfig) -> None:
    batch = padded_batch()
    with torch.no_grad():
        everything(seeded(config, 1).eval(), batch)
    assert all(
        map(torch.equal, trained(seeded(config, 0), batch), trained(seeded(config, 0), padded_batch()))
    )


def test_networks_of_other_settings_do_not_disturb_each_other() -> None:
    patches = TINY["patch_transformer"]
    configs = [*TINY.values(), patches.model_copy(update={"num_groups": 9})]
    configs.append(TINY["sparse_unet"].model_copy(update={"voxel_size": 0.4}))
    configs.append(TINY["dgcnn"].model_copy(update={"num_neighbours": 4}))
    configs.append(TINY["pointmlp"].model_copy(update={"num_neighbours": 4}))
    batch = padded_batch()
    for network in [seeded(config, 0).eval() for config in configs]:
        assert all(map(torch.equal, everything(network, batch), everything(network, padded_batch())))


@ALL
def test_what_was_found_is_freed_with_its_batch(config: BackboneConfig, uncollected: None) -> None:
    batch = padded_batch()
    with torch.no_grad():
        everything(seeded(config, 0).eval(), batch)
    found = [weakref.ref(one) for one in batch._geometry.values()]
    assert len(found) == (config.kind != "pointnet")
    del batch
    assert all(one() is None for one in found)


def test_points_that_want_gradients_are_looked_at_anew() -> None:
    batch = padded_batch()
    batch = replace(batch, points=batch.points.requires_grad_())
    network = seeded(TINY["patch_transformer"], 0).eval()
    gradients = [torch.autograd.grad(network(batch).pooled.square().sum(), batch.points)[0] for _ in range(2)]
    assert gradients[0].any()
    assert torch.equal(*gradients)
