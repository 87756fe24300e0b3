"""Teachers on two workers have the gradients of one that sees the whole batch, given the same pictures."""

from pathlib import Path

import torch
from torch import Tensor

from pointlab import distributed
from pointlab.data.sample import PointBatch
from pointlab.teachers import ClipConfig, NetworkConfig, PictureAugmentation, VitConfig, build_teacher
from pointlab.teachers.settings import TowerConfig
from workers import on_workers

TINY = {"picture_size": 8, "patch_size": 4}
TOWER = TowerConfig(width=16, depth=1, num_heads=2)
NETWORKS: dict[str, NetworkConfig] = {
    "vit": VitConfig(**TINY, width=16, depth=1, num_heads=2),
    "clip": ClipConfig(**TINY, vision=TOWER, text=TOWER, num_features=8),
}
CAPTIONS = {5: "a cup", 7: "a lamp", 9: "a bed", 11: "a chair"}
CAPTION_OF, LABELS = [5, 7, 5, 9, 7, 5, 11], [0, 1, 0, 2, 1, 0, 2]
SHARES = {1: [(0, 7)], 2: [(0, 4), (4, 7)]}
"""Rows of each worker, by how many there are."""


def _store_gradients(folder: Path) -> None:
    """Those of every teacher, as the loop weights its losses; by the first worker."""
    size, rank = distributed.world_size(), distributed.rank()
    rows = slice(*SHARES[size][rank])
    for name, network in NETWORKS.items():
        torch.manual_seed(0)
        teacher = build_teacher(
            network, PictureAugmentation(shift=0, flip=False), ("cup", "lamp", "bed"), lambda: CAPTIONS
        )
        pictures = torch.randint(0, 256, (7, 8, 8, 3), dtype=torch.uint8)
        counts = torch.ones(len(LABELS), dtype=torch.long)[rows]
        batch = PointBatch(
            torch.zeros(len(counts), 1, 3),
            counts,
            counts,
            torch.tensor(LABELS)[rows],
            pictures=pictures[rows],
            captions=torch.tensor(CAPTION_OF)[rows],
        )
        wrapped = distributed.with_averaged_gradients(teacher.train(), torch.device("cpu"))
        (wrapped(batch).loss * len(counts) * size / len(LABELS)).backward()
        if rank == 0:
            named = teacher.named_parameters()
            gradients = {key: part.grad for key, part in named if part.grad is not None}
            torch.save(gradients, folder / f"{name}-{size}.pt")


def test_gradients_of_two_workers_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    """For two towers too, whose negatives come from both, and though one has fewer samples."""
    _store_gradients(tmp_path)
    on_workers(2, _store_gradients, tmp_path)
    for name in NETWORKS:
        alone: dict[str, Tensor] = torch.load(tmp_path / f"{name}-1.pt")
        together: dict[str, Tensor] = torch.load(tmp_path / f"{name}-2.pt")
        assert alone.keys() == together.keys() != set()
        for key, gradient in alone.items():
            torch.testing.assert_close(together[key], gradient, rtol=1e-4, atol=1e-6, msg=f"{name}: {key}")
