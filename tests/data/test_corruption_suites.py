"""A suite's clouds depend on their keys alone, its hashes on what they are; released clouds stay whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlab.config import validate
from pointlab.data.batches import to_batch
from pointlab.data.cache import CachedSplit
from pointlab.data.corruptions import (
    SUITES,
    VERSION,
    ContentHash,
    CorruptionSuite,
    corrupt,
    corrupted_arrays,
    corrupted_batches,
    released_batches,
    require_whole,
)
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator

SUITE = {name: CorruptionSuite(name=name) for name in SUITES}


def make_split(folder: Path, num_clouds: int = 24, num_points: int = 128) -> CachedSplit:
    """A cached split of random clouds; every fourth is a clean one, the others are one of two corruptions."""
    folder.mkdir()
    points = generator("split").normal(size=(num_clouds * num_points, 3)).astype(np.float32) / 3
    arrays = {
        "points": points,
        "ids": np.arange(num_clouds) * 1000 + 17,
        "labels": np.arange(num_clouds) % 3,
        "offsets": np.arange(num_clouds + 1) * num_points,
        "groups": np.array((["clean", "scale/1", "scale/2", "jitter/1"] * num_clouds)[:num_clouds]),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return CachedSplit(folder)


@pytest.mark.parametrize("suite", list(SUITES))
def test_one_worker_and_eight_make_the_same_clouds(suite: str, tmp_path: Path) -> None:
    split, chosen = make_split(tmp_path / "test", num_clouds=10), SUITE[suite]
    alone = ContentHash()
    for condition in chosen.conditions():
        for batch in corrupted_batches(split, chosen, condition, batch_size=10, num_points=64):
            alone.add(batch, condition)

    def work(rank: int) -> ContentHash:
        """Every eighth cloud, backwards, one at a time."""
        seen = ContentHash()
        for condition in reversed(list(chosen.conditions())):
            for row in range(len(split) - 1 - rank, -1, -8):
                arrays = corrupted_arrays(split, np.array([row]), chosen, condition, 64)
                seen.add(to_batch(arrays), condition)
        return seen

    together = ContentHash()
    with ThreadPoolExecutor(8) as pool:
        for seen in pool.map(work, range(8)):
            together.merge(seen)
    assert together == alone
    assert alone.num_clouds == 10 * 5 * len(SUITES[chosen.name])


def test_the_content_hash_sees_every_point_and_every_cloud(tmp_path: Path) -> None:
    split, suite = make_split(tmp_path / "test"), SUITE["modelnet_c"]
    (batch,) = corrupted_batches(split, suite, ("jitter", 1), batch_size=24, num_points=64)

    def digest(condition: tuple[str, int] = ("jitter", 1)) -> str:
        content = ContentHash()
        content.add(batch, condition)
        return content.hexdigest()

    before = digest()
    assert digest() == before
    assert digest(("jitter", 2)) != before
    batch.points[5, 6, 0] += 1e-6
    assert digest() != before


def test_a_batch_is_padded_with_zeros_to_its_longest_cloud(tmp_path: Path) -> None:
    split = make_split(tmp_path / "test")
    (batch,) = corrupted_batches(split, SUITE["modelnet40_c"], ("occlusion", 1), 24, num_points=64)
    assert batch.points.shape[1] == batch.counts.max()
    for points, count in zip(batch.points, batch.counts, strict=True):
        assert not points[int(count) :].any()


def test_a_suite_s_identity_changes_with_all_that_decides_its_clouds() -> None:
    suite = CorruptionSuite(name="modelnet_c")
    others = [
        CorruptionSuite(name="modelnet40_c").identity("a-1", "test", 1024),
        CorruptionSuite(name="modelnet_c", origin="official").identity("a-1", "test", 1024),
        CorruptionSuite(name="modelnet_c", seed=1).identity("a-1", "test", 1024),
        CorruptionSuite(name="modelnet_c", severities=(5,)).identity("a-1", "test", 1024),
        CorruptionSuite(name="modelnet_c", corruptions=("scale",)).identity("a-1", "test", 1024),
        suite.identity("b-1", "test", 1024),
        suite.identity("a-1", "validation", 1024),
        suite.identity("a-1", "test", 512),
    ]
    assert len({suite.identity("a-1", "test", 1024), *others}) == len(others) + 1
    reordered = CorruptionSuite(name="modelnet_c", severities=(5, 4, 3, 2, 1))
    assert reordered.identity("a-1", "test", 1024) == suite.identity("a-1", "test", 1024)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corruptions": ["scael"]}, "no corruption 'scael'"),
        ({"corruptions": ["occlusion"]}, "no corruption 'occlusion'"),
        ({"corruptions": []}, "at least one"),
        ({"severities": [0]}, "from 1 to 5"),
        ({"severities": [6]}, "from 1 to 5"),
        ({"severities": [1, 1]}, "once each"),
        ({"origin": "official", "seed": 3}, "leave its seed out"),
        ({"origin": "regenerated"}, "origin"),
        ({"name": "modelnet_d"}, "name"),
        ({"version": VERSION + 1}, "can no longer be made"),
    ],
)
def test_mistakes_in_a_suite_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(CorruptionSuite, {"name": "modelnet_c", **settings}, "test")


def test_unknown_corruptions_and_tiny_clouds_are_refused() -> None:
    ball = generator("ball").uniform(-0.5, 0.5, (64, 3)).astype(np.float32)
    for condition in (("occlusion", 1), ("scale", 0), ("scale", 6)):
        with pytest.raises(ConfigError, match="modelnet_c has no"):
            corrupt(ball, SUITE["modelnet_c"], condition, sample_id=1, num_points=64)
    for cloud in (ball[:20], np.ones_like(ball)):
        with pytest.raises(DataError, match="32 points or more"):
            corrupt(cloud, SUITE["modelnet_c"], ("scale", 1), sample_id=1, num_points=64)


def test_groups_that_lack_clouds_are_named_and_a_group_that_is_not_there(tmp_path: Path) -> None:
    whole, part = make_split(tmp_path / "whole", 24), make_split(tmp_path / "part", 23)
    require_whole(whole, ["scale/1", "jitter/1"])
    with pytest.raises(DataError, match=r"no clouds of the group 'rotate/1'"):
        require_whole(whole, ["scale/1", "rotate/1"])
    with pytest.raises(DataError, match=r"jitter/1 has 5.*6 clouds in each, as in clean"):
        require_whole(part, ["scale/1"])
    without_clean = make_split(tmp_path / "without", 23)
    without_clean.groups = np.where(without_clean.groups == "clean", "rotate/1", without_clean.groups)
    with pytest.raises(DataError, match=r"jitter/1 has 5.*6 clouds in each, as in the largest"):
        require_whole(without_clean, ["scale/1"])


def test_released_clouds_come_by_their_group_and_whole(tmp_path: Path) -> None:
    split = make_split(tmp_path / "test")
    batches = list(released_batches(split, "scale/2", batch_size=4))
    ids = [int(number) for batch in batches for number in batch.ids]
    assert ids == split.ids[split.groups == "scale/2"].tolist()
    assert {tuple(batch.points.shape[1:]) for batch in batches} == {(128, 3)}
    with pytest.raises(DataError, match=r"no clouds of the group 'rotate/1', but of clean, jitter/1"):
        next(iter(released_batches(split, "rotate/1", batch_size=4)))


@pytest.mark.parametrize(
    ("choice", "end"),
    [
        ({}, ""),
        ({"severities": (5, 4, 3, 2, 1)}, ""),
        ({"severities": (5, 1)}, "/part/severities-1+5"),
        ({"corruptions": ("scale", "jitter")}, "/part/scale+jitter"),
        ({"corruptions": ("jitter",), "severities": (3,)}, "/part/jitter/severities-3"),
        ({"seed": 7}, "/seed-7"),
        ({"severities": (1,), "seed": 7}, "/part/severities-1/seed-7"),
    ],
)
def test_parts_and_draws_of_a_suite_have_stamps_of_their_own(choice: dict[str, Any], end: str) -> None:
    assert CorruptionSuite(name="modelnet_c", **choice).stamp == f"modelnet_c{end}"
