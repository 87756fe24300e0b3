"""What finished networks say is computed once on a machine, and kept whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pointlab.data.cache import cache_folder
from pointlab.teachers import caching
from pointlab.teachers.caching import kept
from pointlab.teachers.prompts import TEMPLATES, prompts_of


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))


def two_parts() -> Iterator[Tensor]:
    yield torch.arange(6.0).view(3, 2)
    yield torch.ones(1, 2)


def files() -> list[Path]:
    return sorted((cache_folder() / "features").glob("*.npy"))


def test_features_are_computed_once_and_whoever_writes_into_them_changes_no_file() -> None:
    expected = torch.cat(list(two_parts()))
    first = kept(two_parts, "pictures", "a set")
    assert torch.equal(first, expected)
    first.zero_()
    assert torch.equal(kept(failing, "pictures", "a set"), expected)
    assert len(files()) == 1
    with pytest.raises(RuntimeError):
        kept(failing, "pictures", "another set")


def failing() -> Iterator[Tensor]:
    yield torch.zeros(2, 2)
    raise RuntimeError("the machine went down")


def test_a_table_that_was_not_finished_is_not_taken_for_one() -> None:
    with pytest.raises(RuntimeError):
        kept(failing, "pictures", "a set")
    assert not files()
    assert torch.equal(kept(two_parts, "pictures", "a set"), torch.cat(list(two_parts())))


def test_the_tables_used_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "NUM_KEPT", 2)
    held = kept(two_parts, "0")
    for number in ("1", "2"):
        kept(two_parts, number)
    assert len(files()) == 2
    assert torch.equal(held, torch.cat(list(two_parts())))  # who has one keeps it
    again = [np.load(path) for path in files()]
    assert all(np.array_equal(one, held.numpy()) for one in again)


def test_recon_has_sixty_prompts_of_a_class_and_none_of_them_is_held_out() -> None:
    prompts = prompts_of("night_stand")
    assert len(set(prompts)) == 60
    assert prompts[0] == "night stand."
    assert "A point cloud model of a night stand with black context." in prompts
    every = [prompt for templates in TEMPLATES for prompt in prompts_of("night_stand", templates)]
    assert len(every) == len(set(every))
    assert all("night stand" in prompt for prompt in every)
