"""Features of a frozen backbone are computed once on a machine, and are the same bits with and without it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import BACKBONE
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.config import validate
from pointlab.data.sample import PointBatch
from pointlab.evaluation import feature_cache, pooled_features
from pointlab.evaluation.feature_cache import (
    SHELF,
    ShownClouds,
    cached_features,
    hash_of_weights,
    processor_of,
)
from pointlab.transfer.read_grid import ReadGrid

CPU = torch.device("cpu")
ARCHITECTURE: Any = validate(BackboneConfig, BACKBONE, "test")
POINTS = torch.randn(11, 16, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(feature_cache, "PART", 3)


class Shown:
    """Clouds of a set in batches of two, and which of them were asked for; it fails once, at `fails_at`."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.fails_at = fails_at

    def __call__(self, rows: np.ndarray) -> Iterable[PointBatch]:
        for first in range(0, len(rows), 2):
            some = torch.from_numpy(rows[first : first + 2])
            if self.fails_at in some.tolist():
                self.fails_at = None
                raise RuntimeError("the machine went down")
            self.asked += some.tolist()
            counts = torch.full((len(some),), 16)
            yield PointBatch(POINTS[some], counts, some, labels=some % 3)


def clouds(shown: Shown, **changes: Any) -> ShownClouds:
    rows = np.arange(11)
    return replace(ShownClouds("a-set-1f", "train", rows, torch.arange(11) % 3, 16, 2, shown), **changes)


def backbone(seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return build_backbone(ARCHITECTURE).requires_grad_(False)


def test_bits_are_those_of_a_pass_without_the_cache_and_there_is_one_pass() -> None:
    network, shown = backbone(), Shown()
    (expected,) = pooled_features([network], Shown()(np.arange(11)), CPU)
    for _ in range(2):
        (table,) = cached_features(network, ARCHITECTURE, clouds(shown), CPU)
        assert torch.equal(table.features, expected.features)
        assert torch.equal(table.labels, expected.labels)
    assert shown.asked == list(range(11))


def test_features_that_are_asked_for_together_share_a_pass_and_are_found_alone() -> None:
    network, shown = backbone(), Shown()
    names = ("pooled", "embedding/mean", "svm")
    together = cached_features(network, ARCHITECTURE, clouds(shown), CPU, names)
    assert shown.asked == list(range(11))
    for name, table in zip(names, together, strict=True):
        (alone,) = cached_features(network, ARCHITECTURE, clouds(shown), CPU, (name,))
        (expected,) = pooled_features([network], Shown()(np.arange(11)), CPU, name)
        assert torch.equal(alone.features, table.features)
        assert torch.equal(alone.features, expected.features)
    assert shown.asked == list(range(11))


def test_who_is_interrupted_goes_on_from_the_last_part_with_the_same_batches() -> None:
    network, shown = backbone(), Shown(fails_at=9)
    names = ("pooled", "embedding/mean")
    with pytest.raises(RuntimeError):
        cached_features(network, ARCHITECTURE, clouds(shown), CPU, names)
    tables = cached_features(network, ARCHITECTURE, clouds(shown), CPU, names)
    assert shown.asked[:12] == [*range(8), *range(8, 11), 0]  # parts are of four clouds: two batches
    for name, table in zip(names, tables, strict=True):
        (expected,) = pooled_features([network], Shown()(np.arange(11)), CPU, name)
        assert torch.equal(table.features, expected.features)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "a-set-2e"},
        {"split": "test"},
        {"rows": np.arange(11)[::-1].copy()},
        {"num_points": 15},
        {"batch_size": 3},
    ],
)
def test_whatever_decides_the_bits_has_a_table_of_its_own(changes: dict[str, Any]) -> None:
    network, shown = backbone(), Shown()
    cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    cached_features(network, ARCHITECTURE, clouds(shown, **changes), CPU)
    assert len(shown.asked) == 22
    cached_features(network, ARCHITECTURE, clouds(shown, dataset="another-name-1f"), CPU)
    assert len(shown.asked) == 22  # the name of a set decides nothing, the hash at its end does


def test_other_weights_settings_threads_processors_or_code_have_another_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, shown = backbone(), Shown()
    cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    cached_features(backbone(1), ARCHITECTURE, clouds(shown), CPU)
    cached_features(network, ARCHITECTURE.model_copy(update={"num_groups": 4}), clouds(shown), CPU)
    torch.set_num_threads(2)
    cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    torch.set_num_threads(1)
    monkeypatch.setattr(feature_cache, "processor_of", lambda device: f"another {device.type}")
    cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    monkeypatch.setattr(feature_cache, "code_version", lambda: "edited")
    cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    assert len(shown.asked) == 66


def test_processors_of_one_kind_are_told_apart() -> None:
    assert processor_of(CPU) == f"cpu {torch.backends.cpu.get_cpu_capability()}"
    if torch.cuda.is_available():
        assert processor_of(torch.device("cuda")) == torch.cuda.get_device_name()


def test_a_table_tells_whether_some_of_it_had_been_computed_before() -> None:
    network, shown = backbone(), Shown(fails_at=9)
    with pytest.raises(RuntimeError):
        cached_features(network, ARCHITECTURE, clouds(shown), CPU)
    for split, expected in (("train", True), ("test", False), ("test", True)):
        (table,) = cached_features(network, ARCHITECTURE, clouds(shown, split=split), CPU)
        assert table.was_kept is expected


def test_the_largest_grid_on_both_splits_fits_several_times() -> None:
    with torch.device("meta"):
        usual = build_backbone(PatchTransformerConfig())
    grid = ReadGrid(stages="all", poolings=("pooled", "maximum", "mean", "maximum_and_mean"))
    assert SHELF.num_tables >= 4 * 2 * len(grid.features(usual))


def test_the_hash_of_weights_is_of_every_byte_and_buffer() -> None:
    network = backbone()
    first = hash_of_weights(network)
    assert first == hash_of_weights(backbone())
    with torch.no_grad():
        next(iter(network.buffers())).add_(1)
    assert hash_of_weights(network) != first
