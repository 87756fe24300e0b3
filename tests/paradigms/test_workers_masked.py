"""Masked paradigms, PPKT and segmentation on two workers are those on one that takes two micro-batches, bit
for bit; a split that they share out unevenly has the figures that it has on one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from paradigms.fitting import fit
from paradigms.masked_cases import CASES, built
from paradigms.test_segmentation import batch_of
from pointlab import distributed
from pointlab.data.sample import PointBatch
from pointlab.storage import Storage
from pointlab.training.validation import evaluate
from training.test_workers import DistributedContext
from workers import on_workers


def _train_all(storage: Storage, folder: Path, accumulation: int) -> None:
    """An epoch of every case; what it leaves goes to `folder`, from the first worker."""
    for name in CASES:
        paradigm = built(name)
        run = f"{name}-{accumulation}"
        fit(paradigm, storage, run, DistributedContext(storage), accumulation=accumulation, epochs=1)
        if distributed.rank() == 0:
            torch.save(paradigm.state_dict(), folder / f"{run}.pt")
    figures = evaluate(built("segmentation"), _uneven, torch.device("cpu"))
    torch.save(figures, folder / f"figures-{accumulation}-{distributed.rank()}.pt")


def _uneven(rank: int, world_size: int) -> Iterator[PointBatch]:
    """Batches of one to three clouds: of two workers, the first takes one more than the second."""
    sizes = ((24, 18), (20,), (30, 22, 18))
    return (batch_of(counts, seed) for seed, counts in enumerate(sizes) if seed % world_size == rank)


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2].startswith(("running_", "num_batches"))


def test_two_workers_equal_one_that_takes_two_micro_batches(storage: Storage, tmp_path: Path) -> None:
    _train_all(storage, tmp_path, 2)
    on_workers(2, _train_all, storage, tmp_path, 1)
    figures, *shared = (torch.load(tmp_path / f"figures-{name}.pt") for name in ("2-0", "1-0", "1-1"))
    assert 0 < figures["miou"] < 1
    assert shared == [pytest.approx(figures, rel=1e-12)] * 2
    for name in CASES:
        alone: dict[str, Tensor] = torch.load(tmp_path / f"{name}-2.pt")
        together: dict[str, Tensor] = torch.load(tmp_path / f"{name}-1.pt")
        assert alone.keys() == together.keys()
        differing = [key for key in alone if not torch.equal(alone[key], together[key])]
        assert [key for key in differing if not _is_statistic(key)] == [], name
        assert not any(key.startswith(("latents.", "foreign.", "image_teacher.")) for key in differing), name
        if name == "recon-points":  # whatever has no gradient on any worker does not decay either
            began = built(name).state_dict()
            queries = [key for key in began if "query_" in key]
            assert queries
            assert all(torch.equal(together[key], began[key]) for key in queries)
