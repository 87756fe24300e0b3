"""Rows that take long to compute are computed once on a machine, and kept whole or not at all."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pointlab.data import cached_rows as module
from pointlab.data.cache import cache_folder
from pointlab.data.cached_rows import Shelf, Watch, cached_rows, unwatched
from pointlab.errors import DataError, PreemptedError

SHELF = Shelf("features", num_tables=2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))


ROWS = torch.arange(10.0).view(5, 2)
"""What is said, of which a part has two rows."""


class Speaker:
    """Says `ROWS`, and remembers of which rows it was asked; it fails once, at `fails_at`."""

    def __init__(self, fails_at: int | None = None, error: type[Exception] = RuntimeError) -> None:
        self.asked: list[int] = []
        self.fails_at, self.error = fails_at, error

    def __call__(self, first: int, last: int) -> Tensor:
        if first == self.fails_at:
            self.fails_at = None
            raise self.error("the machine went down")
        self.asked += range(first, last)
        return ROWS[first:last]


def table(speaker: Speaker, key: str = "a set", watch: Watch = unwatched) -> Tensor:
    return cached_rows(speaker, len(ROWS), "pictures", key, shelf=SHELF, part=2, watch=watch)


def files() -> list[Path]:
    return sorted((cache_folder() / "features").glob("*.npy"))


def test_features_are_computed_once_and_whoever_writes_into_them_changes_no_file() -> None:
    first, second = table(Speaker()), Speaker()
    assert torch.equal(first, ROWS)
    first.zero_()
    assert torch.equal(table(second), ROWS)
    assert not second.asked
    assert len(files()) == 1
    assert torch.equal(table(second, "another set"), ROWS)
    assert second.asked == [0, 1, 2, 3, 4]


def test_who_is_interrupted_goes_on_from_the_last_part_and_leaves_the_table_alone() -> None:
    speaker = Speaker(fails_at=2)
    with pytest.raises(RuntimeError):
        table(speaker)
    assert not files()
    assert torch.equal(table(speaker), ROWS)
    assert speaker.asked == [0, 1, 2, 3, 4]
    assert {path.suffix for path in files()[0].parent.iterdir()} == {".npy", ".lock"}


@pytest.mark.parametrize("length", [0, 60, 140])
def test_a_damaged_table_is_made_anew(length: int) -> None:
    table(Speaker())
    (path,) = files()
    path.write_bytes(path.read_bytes()[:length])
    assert torch.equal(table(Speaker()), ROWS)
    np.save(path, ROWS[:4].numpy())
    assert torch.equal(table(Speaker()), ROWS)


def test_what_a_teacher_lacks_is_not_blamed_on_the_cache_and_what_the_disk_refuses_is() -> None:
    with pytest.raises(FileNotFoundError, match="went down"):
        table(Speaker(fails_at=0, error=FileNotFoundError))
    features = cache_folder() / "features"
    shutil.rmtree(features)
    features.touch()
    with pytest.raises(DataError, match="cannot be kept in the cache"):
        table(Speaker())


def test_a_table_that_another_process_forgets_meanwhile_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    forgets = [True]

    def forget(newest: Path, num_tables: int) -> None:
        if forgets:
            forgets.pop()
            newest.unlink()

    monkeypatch.setattr(module, "_forget_oldest", forget)
    assert torch.equal(table(Speaker()), ROWS)


def test_the_tables_used_longest_ago_are_forgotten_whole_or_in_parts() -> None:
    with pytest.raises(RuntimeError):
        table(Speaker(fails_at=2), "unfinished")
    held = table(Speaker(), "0")
    for number in ("1", "2"):
        table(Speaker(), number)
    assert len(files()) == 2
    assert torch.equal(held, ROWS)  # who has one keeps it
    assert all(np.array_equal(np.load(path), ROWS.numpy()) for path in files())
    assert not [*files()[0].parent.glob("*.parts")]
    assert len([*files()[0].parent.glob("*.lock")]) == 4  # another process may hold one


def test_a_table_that_is_being_computed_is_not_forgotten_in_parts() -> None:
    speaker = Speaker()

    def slowly(first: int, last: int) -> Tensor:
        if first == 2:  # others, on the same machine, fill the shelf meanwhile
            for number in ("1", "2", "3"):
                table(Speaker(), number)
        return speaker(first, last)

    found = cached_rows(slowly, len(ROWS), "pictures", "slow", shelf=SHELF, part=2)
    assert torch.equal(found, ROWS)
    assert speaker.asked == [0, 1, 2, 3, 4]


def test_whoever_watches_hears_of_what_is_computed_and_may_end_it() -> None:
    heard: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        heard.append((done, total))
        if heard == [(0, 5), (2, 5)]:
            raise PreemptedError("asked to end")

    speaker = Speaker()
    with pytest.raises(PreemptedError):
        table(speaker, watch=watch)
    assert speaker.asked == [0, 1]
    table(speaker, watch=watch)
    assert heard == [(0, 5), (2, 5), (2, 5), (4, 5), (5, 5)]
    table(speaker, watch=watch)
    assert len(heard) == 5  # nothing was computed
