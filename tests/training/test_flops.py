"""What a step takes is counted on a copy: nothing of a training is other for it."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backbones.tiny import TINY
from conftest import tiny_pretrain
from paradigms.providers import contents, with_providers
from paradigms.test_compatibility import ALLOWED, paradigm_config
from paradigms.two_views import two_views
from pointlab.backbones import build_backbone
from pointlab.data.sample import PointBatch
from pointlab.experiment.pretraining import pretrain
from pointlab.experiment.stored_models import read_module
from pointlab.launch import resolve
from pointlab.paradigms import Trainable, build_paradigm
from pointlab.paradigms.base import StepOutput
from pointlab.storage import Storage
from pointlab.training import LocalContext, Run, loop
from pointlab.training.flops import counted, flops_of_step
from training.test_loop import Killed, Recorder

CPU = torch.device("cpu")


class TwoLayers(Trainable):
    """Two products of matrices on every point."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, batch: PointBatch) -> StepOutput:
        return StepOutput(self.second(self.first(batch.points)).mean())

    def exported(self) -> Mapping[str, nn.Module]:
        return {}


def test_a_product_counts_two_operations_a_term_forward_and_for_each_gradient() -> None:
    batch = two_views(seed=0)
    rows = batch.points.shape[0] * batch.points.shape[1]
    forward = 2 * rows * (3 * 4 + 4 * 5)
    of_weights, of_what_the_second_reads = forward, 2 * rows * 4 * 5  # points themselves need none
    counted_flops = flops_of_step(TwoLayers(), batch, CPU, "fp32", key=0)
    assert counted_flops == forward + of_weights + of_what_the_second_reads


def test_attention_counts_on_processors_as_torch_counts_it_on_gpus() -> None:
    query, key, value = (torch.randn(2, 3, 8, 4, requires_grad=True) for _ in range(3))
    with counted() as counter:
        F.scaled_dot_product_attention(query, key, value).sum().backward()
    product = 2 * (2 * 3) * 8 * 8 * 4
    assert counter.get_total_flops() == 2 * product + 5 * product  # backward computes the scores anew


@pytest.mark.parametrize(("name", "backbone"), ALLOWED)
def test_counting_moves_neither_weights_nor_gradients_nor_generators(name: str, backbone: str) -> None:
    torch.manual_seed(0)
    config = paradigm_config(name)
    paradigm = build_paradigm(config, build_backbone(TINY[backbone]), with_providers(config)).train()
    paradigm.freeze()
    paradigm.before_step(0, 2)
    before, generator = contents(paradigm), torch.random.get_rng_state()
    flops = flops_of_step(paradigm, two_views(seed=0), CPU, "fp32", key=1)
    assert flops > 0
    assert contents(paradigm) == before
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in paradigm.parameters())
    assert flops_of_step(paradigm, two_views(seed=0), CPU, "fp32", key=1) == flops


def test_a_training_has_the_bits_of_one_that_is_not_counted(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = resolve(tiny_pretrain(storage, name="counts"), storage)
    found = pretrain(counts, LocalContext(storage))
    monkeypatch.setattr(loop, "flops_of_step", lambda *_: 0.0)
    plain = resolve(tiny_pretrain(storage, name="plain"), storage)
    assert pretrain(plain, LocalContext(storage)).flops == 0
    assert found.flops > 0
    one, other = (read_module(storage, each.run, "backbone") for each in (counts, plain))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert Run(storage, counts.run).read_log() == Run(storage, plain.run).read_log()


def test_a_run_that_goes_on_tells_the_operations_of_an_undisturbed_one(storage: Storage) -> None:
    straight = resolve(tiny_pretrain(storage, name="straight"), storage)
    broken = resolve(tiny_pretrain(storage, name="broken", training={"checkpoint_every": 2}), storage)
    with pytest.raises(Killed):
        pretrain(broken, Recorder(storage, die_before=5))
    assert pretrain(broken, LocalContext(storage)).flops == pretrain(straight, LocalContext(storage)).flops
