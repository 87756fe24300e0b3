"""Synchronised BatchNorm: workers with a share each are one worker with the whole batch."""

import copy
import pickle
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones.pointwise import RowNorm
from pointlab.distributed import rank, sum_across, world_size
from pointlab.errors import TrainingError
from pointlab.training.batch_norm import synchronise_batch_norm
from workers import on_workers

BORDERS = {2: [[0, 5, 12], [0, 12, 12], [0, 1, 12]], 3: [[0, 5, 9, 12], [0, 0, 11, 12], [0, 12, 12, 12]]}
"""Shares of 12 samples, by number of workers: uneven ones, a single sample, none at all."""
CASES: list[tuple[type[nn.Module], tuple[int, ...], dict[str, Any]]] = [
    (nn.BatchNorm1d, (), {}),
    (RowNorm, (), {}),
    (nn.BatchNorm1d, (5,), {"momentum": None}),
    (nn.BatchNorm2d, (2, 3), {"affine": False}),
    (nn.BatchNorm3d, (2, 1, 2), {"track_running_stats": False}),
]


def own_part(whole: Tensor, borders: list[int]) -> Tensor:
    first, last = list(pairwise(borders))[rank()]
    return whole[first:last]


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers with a mean well off zero, the same on every worker."""
    return (3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def assert_near(found: Tensor | None, expected: Tensor | None, tolerance: float) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def both_kinds(kind: type[nn.Module], dtype: torch.dtype, **settings: Any) -> tuple[nn.Module, nn.Module]:
    """Torch's own layer with parameters that are not ones and zeros, and its synchronised copy."""
    whole = kind(4, **settings).to(dtype)
    for number, parameter in enumerate(whole.parameters()):
        parameter.data = drawn(4, seed=number, dtype=dtype)
    shared = copy.deepcopy(whole)
    synchronise_batch_norm(shared)
    return whole, shared


def compare(whole: nn.Module, shared: nn.Module, batch: Tensor, borders: list[int], tolerance: float) -> None:
    """One step of both layers; outputs, gradients and statistics must agree."""
    cotangent = drawn(*batch.shape, seed=99, dtype=batch.dtype) ** 2
    all_inputs, own_inputs = batch.clone().requires_grad_(), own_part(batch, borders).clone().requires_grad_()
    expected, found = whole(all_inputs), shared(own_inputs)
    (expected * cotangent).sum().backward()
    (found * own_part(cotangent, borders)).sum().backward()
    assert_near(found, own_part(expected, borders), tolerance)
    assert all_inputs.grad is not None
    assert_near(own_inputs.grad, own_part(all_inputs.grad, borders), tolerance)
    for one, other in zip(whole.parameters(), shared.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert_near(sum_across(other.grad), one.grad, tolerance * 100)  # sums of 12 to 120 numbers
        one.grad = other.grad = None
    for one, other in zip(whole.buffers(), shared.buffers(), strict=True):
        assert_near(other, one, tolerance)


def _compare_all() -> None:
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        for kind, shape, settings in CASES:
            whole, shared = both_kinds(kind, dtype, **settings)
            for step, borders in enumerate(BORDERS[world_size()]):
                compare(whole, shared, drawn(12, 4, *shape, seed=step, dtype=dtype), borders, tolerance)


def _low_precision() -> None:
    batch, borders = drawn(12, 4, 5, seed=0, dtype=torch.bfloat16), BORDERS[2][0]
    whole, shared = both_kinds(nn.BatchNorm1d, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = whole(batch), shared(own_part(batch, borders))
    assert found.dtype == expected.dtype
    assert_near(found, own_part(expected, borders), 0.01)
    for one, other in zip(whole.buffers(), shared.buffers(), strict=True):
        assert_near(other, one, 1e-5)


def _large_mean() -> None:
    batch, borders = drawn(12, 4, seed=0) + 1e6, BORDERS[2][0]
    whole, shared = both_kinds(nn.BatchNorm1d, torch.float64)
    whole(batch)
    shared(own_part(batch, borders))
    assert_near(shared.running_var, whole.running_var, 1e-9)  # E[x²] - E[x]² would be right to 1e-4


def _evaluation_needs_nobody() -> None:
    whole, shared = both_kinds(nn.BatchNorm1d, torch.float64)
    shared.eval()
    if rank() == 0:  # would wait for the others for ever if there were a message
        assert torch.equal(shared(drawn(1, 4, seed=0)), whole.eval()(drawn(1, 4, seed=0)))


def _one_value() -> None:
    _, shared = both_kinds(nn.BatchNorm1d, torch.float64)
    with pytest.raises(TrainingError, match="1 values per channel"):
        shared(torch.zeros(1 - rank(), 4, dtype=torch.float64))


def _statistics_are_left_alone() -> None:
    layers = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    synchronise_batch_norm(layers, frozen=[layers[1]])
    for layer in layers:
        layer.running_mean.fill_(float(rank()))
    distributed.average_tensors(list(distributed.running_statistics(layers).values()))
    assert layers[0].running_mean.tolist() == [rank()] * 2
    assert layers[1].running_mean.tolist() == [0.5] * 2


def _special_cases() -> None:
    for case in (
        _low_precision,
        _large_mean,
        _evaluation_needs_nobody,
        _one_value,
        _statistics_are_left_alone,
    ):
        case()


def network() -> nn.Sequential:
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv1d(3, 6, 1, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 5, 2)
    ).double()


def train(model: nn.Module, borders: list[list[int]], own: int) -> None:
    """Five steps on batches of 12, weighted as the loop does; `own` is the share taken."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for step in range(5):
        batch, target = drawn(12, 3, 5, seed=step), drawn(12, 2, seed=100 + step)
        first, last = borders[step % len(borders)][own : own + 2]
        loss = nn.functional.mse_loss(model(batch[first:last]), target[first:last])
        optimiser.zero_grad()
        (loss * (last - first) * world_size() / 12).backward()
        optimiser.step()


def difference(one: nn.Module, other: nn.Module) -> float:
    """The largest one of all weights and buffers."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((first - second).abs().max()) for first, second in pairs)


def _train_in_a_group(alone: nn.Module) -> None:
    borders = [shares for shares in BORDERS[world_size()] if 0 not in (b - a for a, b in pairwise(shares))]
    for synchronised in (True, False):
        model = network()
        if synchronised:
            synchronise_batch_norm(model)
        wrapped = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
        train(wrapped, borders, rank())
        assert (difference(model, alone) < 1e-10) is synchronised


def _all_checks(alone: nn.Module) -> None:
    _compare_all()
    if world_size() == 2:
        _special_cases()
    _train_in_a_group(alone)


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_with_any_shares_equal_one_worker_with_the_whole_batch(num_workers: int) -> None:
    """Layer by layer, in training, and on two also in special cases: one start of the processes for all."""
    alone = network()
    train(alone, [[0, 12]], 0)
    on_workers(num_workers, _all_checks, alone)


@pytest.mark.parametrize(("kind", "shape", "settings"), CASES)
def test_alone_it_is_torchs_layer_bit_for_bit(
    kind: type[nn.Module], shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    whole, shared = both_kinds(kind, torch.float32, **settings)
    assert type(shared) is not kind
    for step in range(2):
        batch = drawn(12, 4, *shape, seed=step, dtype=torch.float32)
        assert torch.equal(whole(batch), shared(batch))
    for one, other in zip(whole.buffers(), shared.buffers(), strict=True):
        assert torch.equal(one, other)


def test_synchronising_changes_no_name_and_no_value_and_can_be_pickled() -> None:
    plain = network()
    shared = network()
    synchronise_batch_norm(shared)
    for model in (shared, pickle.loads(pickle.dumps(shared))):
        assert type(model[1]) is not nn.BatchNorm1d
        assert list(model.state_dict()) == list(plain.state_dict())
        assert difference(model, plain) == 0


def test_layers_of_frozen_modules_stay_as_they_are() -> None:
    model = nn.ModuleDict({"trained": network(), "frozen": network()})
    synchronise_batch_norm(model, frozen=[model["frozen"]])
    assert isinstance(model["trained"][1], distributed.GlobalStatistics)
    assert type(model["frozen"][1]) is nn.BatchNorm1d
