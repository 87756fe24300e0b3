"""Running statistics are those of the data from the first step on."""

import pytest
import torch
from torch import nn

from conftest import tiny_pretrain
from pointlab.backbones.pointwise import RowNorm
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Storage
from pointlab.training.even_start import EvenStart
from pointlab.transfer.batch_norm import batch_norms

BATCHES = [0.01 * torch.randn(32, 3, generator=torch.Generator().manual_seed(n)) + n for n in range(14)]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, RowNorm])
def test_first_batches_count_alike_and_later_ones_a_tenth(kind: type[nn.BatchNorm1d]) -> None:
    layer = kind(3)
    even = EvenStart(layer)
    for batch in BATCHES:
        layer(batch)
    mean = torch.stack([batch.mean(0) for batch in BATCHES[:10]]).mean(0)
    for batch in BATCHES[10:]:
        mean = 0.9 * mean + 0.1 * batch.mean(0)
    torch.testing.assert_close(layer.running_mean, mean)
    even.end()
    assert layer.momentum == 0.1
    assert not layer._forward_pre_hooks


def test_a_layer_that_has_seen_batches_goes_on_where_it_stands() -> None:
    straight, resumed = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    EvenStart(straight)
    first = EvenStart(resumed)
    for batch in BATCHES[:4]:
        straight(batch), resumed(batch)
    first.end()
    EvenStart(resumed)
    for batch in BATCHES[4:]:
        straight(batch), resumed(batch)
    assert torch.equal(straight.running_mean, resumed.running_mean)  # type: ignore[arg-type]
    assert torch.equal(straight.running_var, resumed.running_var)  # type: ignore[arg-type]


def test_frozen_layers_and_evaluation_change_nothing() -> None:
    layers = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    EvenStart(layers, frozen=[layers[1]])
    assert not layers[1]._forward_pre_hooks
    layers.eval()(BATCHES[5])
    assert not layers[0].running_mean.any()  # type: ignore[union-attr, operator]


def test_a_short_run_leaves_the_statistics_of_its_data(storage: Storage) -> None:
    """Patches vary by far less than 1: torch's own start would still be most of what is stored."""
    record = run(tiny_pretrain(storage)).record
    assert record is not None
    weights = read_module(storage, record.run, "backbone")
    first = weights["embedder.local.1.running_var"]
    assert int(weights["embedder.local.1.num_batches_tracked"]) < 25
    assert float(first.max()) < 0.2


def test_plain_means_taken_by_others_stay_plain() -> None:
    layer = nn.BatchNorm1d(3)
    EvenStart(layer)
    (found,) = batch_norms(layer)
    found.momentum = None
    for batch in BATCHES:
        layer(batch)
    torch.testing.assert_close(layer.running_mean, torch.stack([b.mean(0) for b in BATCHES]).mean(0))
