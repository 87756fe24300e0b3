"""Masked paradigms on two workers are those on one that takes two micro-batches, bit for bit."""

from pathlib import Path

import torch
from torch import Tensor

from paradigms.fitting import fit
from paradigms.masked_cases import CASES, built
from pointlab import distributed
from pointlab.storage import Storage
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


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2].startswith(("running_", "num_batches"))


def test_two_workers_equal_one_that_takes_two_micro_batches(storage: Storage, tmp_path: Path) -> None:
    _train_all(storage, tmp_path, 2)
    on_workers(2, _train_all, storage, tmp_path, 1)
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
