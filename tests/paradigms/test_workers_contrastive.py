"""Contrast on two workers is contrast on one: on given features, and end to end through an encoder.

Everything is in double precision, so that rounding hides nothing. What one worker finds with the whole batch
is computed before the workers start.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paradigms.providers import always
from paradigms.two_views import SmallEncoder, part, two_views
from pointlab import distributed
from pointlab.data.sample import PointBatch
from pointlab.distributed import gather_rows_with_gradient, rank
from pointlab.objectives.hypersphere import unit_length
from pointlab.objectives.info_nce import (
    CloudsOfPairs,
    nt_xent,
    paired_info_nce,
    point_info_nce,
    queue_info_nce,
)
from pointlab.objectives.momentum import KeyQueue
from pointlab.objectives.pixels import KnownMaps
from pointlab.paradigms import (
    ContrastiveConfig,
    Given,
    Paradigm,
    PointContrastConfig,
    PpktConfig,
    build_paradigm,
)
from pointlab.training.batch_norm import synchronise_batch_norm
from workers import on_workers

NUM_SAMPLES = 9
BORDERS = ((0, 5, 9), (0, 2, 9), (0, 9, 9))
"""Shares of two workers: as the loop deals them out, and worse."""
TEMPERATURE = 0.2
Config = ContrastiveConfig | PointContrastConfig | PpktConfig
CASES: dict[str, tuple[Config, bool]] = {
    "simclr": (ContrastiveConfig.model_validate({"projector": {"batch_norm": False}}), False),
    "simclr, batch norm": (ContrastiveConfig(), True),
    "moco": (
        ContrastiveConfig.model_validate(
            {"momentum": {"queue_size": 12}, "projector": {"batch_norm": False}}
        ),
        False,
    ),
    "moco, batch norm": (ContrastiveConfig.model_validate({"momentum": {"queue_size": 12}}), True),
    "point_contrast": (PointContrastConfig(), False),
    "point_contrast, batch norm": (PointContrastConfig(), True),
    "ppkt, batch norm": (PpktConfig(negatives="all_workers", direction="symmetric"), True),
}
"""Settings, and whether there is batch normalisation, which is then synchronised. PointContrast and PPKT take
all pairs of these small clouds: which ones they draw of more depends on the shares."""
ACCUMULATING: dict[str, Config] = {
    "micro_batch": ContrastiveConfig.model_validate(
        {"negatives": "micro_batch", "projector": {"batch_norm": False}}
    ),
    "moco": CASES["moco"][0],
    "point_contrast": PointContrastConfig(pairs_per_cloud=7, negatives="micro_batch"),
    "ppkt": PpktConfig(num_pairs=30),
}
"""What equals one worker that takes the workers' shares as micro-batches; batch normalisation would not."""


def drawn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return unit_length(torch.randn(shape, generator=generator, dtype=torch.float64))


def assert_near(found: Tensor, expected: Tensor, name: str = "") -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, msg=lambda text: f"{name}: {text}")


def _rows_are_gathered() -> None:
    rows = torch.arange(NUM_SAMPLES * 3).view(NUM_SAMPLES, 3)
    for borders in BORDERS:
        first, last = borders[rank() : rank() + 2]
        everyone, start = gather_rows_with_gradient(rows[first:last])
        assert torch.equal(everyone, rows)
        assert start == first


def _nt_xent_of_features() -> None:
    views = drawn(NUM_SAMPLES, 2, 4, seed=0)
    whole = views.clone().requires_grad_()
    loss = nt_xent(whole, whole, 0, TEMPERATURE).loss
    loss.backward()
    assert whole.grad is not None
    for borders in BORDERS[:2]:
        first, last = borders[rank() : rank() + 2]
        own = views[first:last].clone().requires_grad_()
        everyone, start = gather_rows_with_gradient(own)
        share = nt_xent(own, everyone, start, TEMPERATURE).loss * (last - first) / NUM_SAMPLES
        share.backward()
        assert_near(distributed.sum_across(share), loss.detach())
        assert own.grad is not None
        assert_near(own.grad, whole.grad[first:last])


def _points_of_features() -> None:
    """Of nine clouds the first has no pair, and the others have three at most; a share may have none."""
    clouds = torch.tensor([1, 1, 1, 2, 4, 4, 5, 6, 7, 7, 7, 8])
    queries, keys = drawn(len(clouds), 4, seed=2), drawn(len(clouds), 4, seed=3)
    whole = [rows.clone().requires_grad_() for rows in (queries, keys)]
    expected = point_info_nce(*whole, 0, CloudsOfPairs(clouds, NUM_SAMPLES), TEMPERATURE).loss
    expected.backward()
    for first, last in (borders[rank() : rank() + 2] for borders in (*BORDERS[:2], (0, 1, 9))):
        mine = (clouds >= first) & (clouds < last)
        own = [rows[mine].clone().requires_grad_() for rows in (queries, keys)]
        everyone, start = gather_rows_with_gradient(own[1])
        own_clouds = CloudsOfPairs(clouds[mine] - first, last - first)
        found = point_info_nce(own[0], everyone, start, own_clouds, TEMPERATURE).loss
        share = found * own_clouds.number / NUM_SAMPLES
        share.backward()
        assert_near(distributed.sum_across(share), expected.detach())
        for mine_of, all_of in zip(own, whole, strict=True):
            assert mine_of.grad is not None
            assert all_of.grad is not None
            assert_near(mine_of.grad, all_of.grad[mine])


def _pairs_of_features() -> None:
    """Of seven pairs; a share may have none, and its gradients are waited for all the same."""
    rows = [drawn(7, 4, seed=seed) for seed in (2, 3)]
    whole = [side.clone().requires_grad_() for side in rows]
    expected = paired_info_nce(*whole, TEMPERATURE).loss
    expected.backward()
    for first, last in (borders[rank() : rank() + 2] for borders in ((0, 3, 7), (0, 0, 7))):
        own = [side[first:last].clone().requires_grad_() for side in rows]
        everyone, start = gather_rows_with_gradient(own[1])
        share = paired_info_nce(own[0], everyone, TEMPERATURE, start).loss * (last - first) / 7
        share.backward()
        assert_near(distributed.sum_across(share), expected.detach())
        for mine_of, all_of in zip(own, whole, strict=True):
            assert mine_of.grad is not None
            assert all_of.grad is not None
            assert_near(mine_of.grad, all_of.grad[first:last])


def _no_worker_has_a_pair() -> None:
    nothing = torch.zeros(0, 4, dtype=torch.float64, requires_grad=True)
    everyone, start = gather_rows_with_gradient(nothing)
    clouds = CloudsOfPairs(torch.zeros(0, dtype=torch.int64), 3)
    point_info_nce(nothing, everyone, start, clouds, TEMPERATURE).loss.backward()
    assert nothing.grad is not None


def _queue_of_features() -> None:
    queries, keys = drawn(NUM_SAMPLES, 4, seed=0), drawn(NUM_SAMPLES, 4, seed=1)
    torch.manual_seed(0)
    queue = KeyQueue(12, 4).double()
    whole = queries.clone().requires_grad_()
    loss = queue_info_nce(whole, keys, queue.keys, TEMPERATURE).loss
    loss.backward()
    assert whole.grad is not None
    expected = torch.cat([keys, queue.keys])[:12]
    for borders in BORDERS[:2]:
        first, last = borders[rank() : rank() + 2]
        own, own_queue = queries[first:last].clone().requires_grad_(), copy.deepcopy(queue)
        found = queue_info_nce(own, keys[first:last], own_queue.keys, TEMPERATURE).loss
        share = found * (last - first) / NUM_SAMPLES
        share.backward()
        assert_near(distributed.sum_across(share), loss.detach())
        assert own.grad is not None
        assert_near(own.grad, whole.grad[first:last])
        own_queue.note(keys[first:last])
        own_queue.close_step()
        assert torch.equal(own_queue.keys, expected)


def built(config: Config, *, batch_norm: bool) -> Paradigm:
    """A paradigm that has taken a step already, so that its encoders differ."""
    torch.manual_seed(0)
    given = Given(3, providers={"image_teacher": KnownMaps(always((NUM_SAMPLES, 6, 2, 2)).double(), (4, 4))})
    paradigm = build_paradigm(config, SmallEncoder(batch_norm=batch_norm), given).double()
    with torch.no_grad():
        for parameter in paradigm.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    synchronise_batch_norm(paradigm)
    return paradigm.train()


def micro_batch_step(paradigm: Any, borders: tuple[int, ...], number: int, world_size: int) -> Tensor:
    """The weighted loss of one share, backward, as the training loop does it."""
    first, last = borders[number : number + 2]
    torch.manual_seed(number)
    output = paradigm(part(seen_everywhere(two_views(NUM_SAMPLES, num_shown=25)), first, last))
    weighted = output.loss * (last - first) / NUM_SAMPLES
    (weighted * world_size).backward()
    return weighted.detach()


def seen_everywhere(batch: PointBatch) -> PointBatch:
    """Every cloud has a picture, and every point a pixel, so that clouds have equally many pairs."""
    assert batch.rows is not None
    places = torch.stack([batch.rows * 0.07, 3 - batch.rows * 0.05], dim=2)
    pixels = torch.where(batch.rows.unsqueeze(2) >= 0, places, -1.0)
    return replace(batch, picture_numbers=torch.arange(len(batch)), pixels=pixels)


def outcome(paradigm: Paradigm, loss: Tensor) -> dict[str, Tensor]:
    """Loss, gradients, and what `after_step` makes of weights, statistics and queue."""
    paradigm.after_step(3, 10)
    gradients = {f"gradient of {n}": p.grad for n, p in paradigm.named_parameters() if p.grad is not None}
    return {"loss": loss, **gradients, **paradigm.state_dict()}


def alone(paradigm: Paradigm, borders: tuple[int, ...]) -> dict[str, Tensor]:
    shares = range(len(borders) - 1)
    return outcome(paradigm, torch.stack([micro_batch_step(paradigm, borders, n, 1) for n in shares]).sum())


def together(paradigm: Paradigm) -> dict[str, Tensor]:
    wrapped = distributed.with_averaged_gradients(paradigm, torch.device("cpu"))
    return outcome(paradigm, distributed.sum_across(micro_batch_step(wrapped, BORDERS[0], rank(), 2)))


def _end_to_end(folder: Path) -> None:
    expected = torch.load(folder / "alone.pt")
    found = {f"whole: {name}": together(built(c, batch_norm=norm)) for name, (c, norm) in CASES.items()}
    found |= {f"shares: {name}": together(built(c, batch_norm=False)) for name, c in ACCUMULATING.items()}
    assert found.keys() == expected.keys()
    for case, tensors in found.items():
        assert tensors.keys() == expected[case].keys()
        for name, tensor in tensors.items():
            assert_near(tensor, expected[case][name], f"{case}, {name}")


def _validation_exchanges_nothing() -> None:
    """Its batches are dealt out unevenly: a worker with one more would wait for the others for ever."""
    for config, batch_norm in CASES.values():
        paradigm = built(config, batch_norm=batch_norm).eval()
        if rank() == 0:
            assert paradigm(two_views()).loss.isfinite()


def _all_checks(folder: Path) -> None:
    _rows_are_gathered()
    _nt_xent_of_features()
    _points_of_features()
    _pairs_of_features()
    _no_worker_has_a_pair()
    _queue_of_features()
    _end_to_end(folder)
    _validation_exchanges_nothing()


def test_two_workers_equal_one_on_features_and_end_to_end(tmp_path: Path) -> None:
    whole = (0, NUM_SAMPLES)
    found = {f"whole: {name}": alone(built(c, batch_norm=norm), whole) for name, (c, norm) in CASES.items()}
    found |= {f"shares: {n}": alone(built(c, batch_norm=False), BORDERS[0]) for n, c in ACCUMULATING.items()}
    torch.save(found, tmp_path / "alone.pt")
    on_workers(2, _all_checks, tmp_path)
