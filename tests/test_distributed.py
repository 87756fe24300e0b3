"""What workers tell each other: gathering with gradients, means, objects, and when to stop."""

import time

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pointlab import distributed
from pointlab.distributed import Pace, agree_to_stop, rank, world_size
from workers import join_group, meeting_place, on_workers


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def contrast(own: Tensor, everyone: Tensor) -> Tensor:
    """A loss in which each row is compared with all workers' rows."""
    return (own @ everyone.T).logsumexp(1).sum()


def _gather() -> None:
    parts = [drawn(4, 3, seed=number).T for number in range(world_size())]  # not contiguous
    everyone = torch.cat(parts).requires_grad_()
    sum(contrast(part, everyone) for part in everyone.split(3)).backward()  # type: ignore[union-attr]
    own = parts[rank()].clone().requires_grad_()
    gathered = distributed.gather_with_gradient(own)
    assert torch.equal(gathered, torch.stack(parts))
    contrast(own, gathered.flatten(0, 1)).backward()
    assert everyone.grad is not None
    torch.testing.assert_close(own.grad, everyone.grad.split(3)[rank()], rtol=1e-12, atol=1e-12)


def _train_a_projection() -> None:
    """DDP averages, so a loss weighted by the number of workers counts as on one worker."""
    batch = drawn(3 * world_size(), 5, seed=1)
    torch.manual_seed(0)
    alone = nn.Linear(5, 4).double()
    together = nn.parallel.DistributedDataParallel(nn.Linear(5, 4).double())
    together.module.load_state_dict(alone.state_dict())
    features = alone(batch)
    contrast(features, features).backward()
    own = together(batch.chunk(world_size())[rank()])
    everyone = distributed.gather_with_gradient(own).flatten(0, 1)
    (contrast(own, everyone) * world_size()).backward()
    torch.testing.assert_close(together.module.weight.grad, alone.weight.grad, rtol=1e-12, atol=1e-12)


def _objects_and_means() -> None:
    assert distributed.broadcast_object({"from": rank()}) == {"from": 0}
    assert distributed.gather_objects(rank()) == list(range(world_size()))
    assert distributed.gather_to_first(rank()) == (list(range(world_size())) if rank() == 0 else [])
    tensors = [torch.full((2,), float(rank())), torch.full((1, 3), 10.0 * rank(), dtype=torch.float64)]
    distributed.average_tensors(tensors)
    middle = (world_size() - 1) / 2
    assert [tensor.unique().tolist() for tensor in tensors] == [[middle], [10 * middle]]
    assert [tensor.dtype for tensor in tensors] == [torch.float32, torch.float64]


def _all_exchanges() -> None:
    for exchange in (_gather, _train_a_projection, _objects_and_means):
        exchange()


@pytest.mark.parametrize("num_workers", [2, 3])
def test_gradients_means_and_objects_are_those_of_all_workers(num_workers: int) -> None:
    on_workers(num_workers, _all_exchanges)


class Device(Pace):
    """A device that exchanges gradients in every step, which `keep` waits for `lead` steps late."""

    def __init__(self, lead: int) -> None:
        super().__init__(torch.device("cpu"))
        self.lead = lead
        self.queue: list[dist.Work] = []

    def step(self) -> None:
        self.queue.append(dist.all_reduce(torch.ones(1), async_op=True))

    def keep(self) -> None:
        while len(self.queue) > self.lead:
            self.queue.pop(0).wait()


def _steps_until_all_stop(wishes: dict[int, int], lead: int) -> list[int]:
    """Where each worker stopped; `wishes` says which of them wants to from which step on."""
    device, step = Device(lead), 0
    while step < 100:
        device.step()
        step += 1
        time.sleep(0.005 if rank() in wishes else 0)  # the others are as far ahead as they may be
        if agree_to_stop(step, step >= wishes.get(rank(), 100), device):
            break
    device.lead = 0
    device.keep()
    return distributed.gather_objects(step)


def _renew_group() -> None:
    """Another group of the same processes, as after a restart."""
    number, size, place = rank(), world_size(), distributed.broadcast_object(meeting_place())
    distributed.barrier()  # whoever left at once would meet the others' old connections
    dist.destroy_process_group()
    join_group(number, size, place)


def _agree() -> None:
    last = world_size() - 1
    for lead in (0, 1):
        for wishes in ({0: 4}, {last: 1}, {0: 6, last: 5}, dict.fromkeys(range(world_size()), 3)):
            stops, first = _steps_until_all_stop(wishes, lead), min(wishes.values())
            assert len(set(stops)) == 1, (wishes, lead, stops)
            assert first < stops[0] <= first + 1 + 2 * lead, (wishes, lead, stops)
            _renew_group()


@pytest.mark.parametrize("num_workers", [2, 3])
def test_all_workers_stop_at_one_step_soon_after_one_wants_to_and_a_new_group_goes_on(
    num_workers: int,
) -> None:
    on_workers(num_workers, _agree)


def test_alone_everything_is_the_identity() -> None:
    own = drawn(2, 3, seed=0)
    assert torch.equal(distributed.gather_with_gradient(own), own.unsqueeze(0))
    distributed.average_tensors([own])
    assert torch.equal(own, drawn(2, 3, seed=0))
    assert distributed.broadcast_object("own") == "own"
    assert distributed.gather_objects("own") == distributed.gather_to_first("own") == ["own"]
    assert [agree_to_stop(3, wants) for wants in (False, True)] == [False, True]
