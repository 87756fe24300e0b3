"""A verification passes on a whole set, and names every kind of damage to one."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlab.data.sample import Cloud
from pointlab.data.shards import PreparedCloud, decode_clouds, encode_shard
from pointlab.data.verification import verify
from pointlab.errors import DamagedError, DataError
from pointlab.storage import Manifest, Storage, read_manifest, seal
from pointlab.storage.artifact import put

Damage = Callable[[Storage, str], None]


@pytest.fixture
def name(storage: Storage) -> str:
    """The whole name of the tiny set of shapes."""
    return next(each for each in storage.folders("datasets") if each.startswith("shapes-"))


def folder_of(storage: Storage, name: str) -> Path:
    return Path(storage.locate(f"datasets/{name}"))


def shard_of(storage: Storage, name: str, split: str = "train") -> str:
    return next(file for file in storage.files(f"datasets/{name}") if file.startswith(split))


def manifest_of(storage: Storage, name: str) -> Manifest:
    manifest = read_manifest(storage, f"datasets/{name}")
    assert manifest is not None
    return manifest


def reseal(storage: Storage, name: str, contents: dict[str, bytes], **details: Any) -> None:
    """Write files and details anew with a manifest that fits: what a defect in the preparation would do."""
    manifest = manifest_of(storage, name)
    path = f"datasets/{name}"
    written = {file: put(storage, f"{path}/{file}", content) for file, content in contents.items()}
    seal(storage, path, "dataset", {**manifest.files, **written}, {**manifest.details, **details})


def change_clouds(
    storage: Storage, name: str, change: Callable[[list[PreparedCloud]], list[PreparedCloud]]
) -> None:
    file = shard_of(storage, name)
    clouds = change(decode_clouds(storage.read(f"datasets/{name}/{file}")))
    reseal(storage, name, {file: encode_shard(clouds, None)})


def flip_a_bit(storage: Storage, name: str) -> None:
    path = folder_of(storage, name) / shard_of(storage, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(storage: Storage, name: str) -> None:
    path = folder_of(storage, name) / shard_of(storage, name)
    path.write_bytes(path.read_bytes()[:-1])


def lose(storage: Storage, name: str) -> None:
    (folder_of(storage, name) / shard_of(storage, name)).unlink()


def lose_the_lists(storage: Storage, name: str) -> None:
    (folder_of(storage, name) / "splits.json").unlink()


def swap_two_shards(storage: Storage, name: str) -> None:
    first, second = (folder_of(storage, name) / shard_of(storage, name, split) for split in ("train", "test"))
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)


def write_nonsense(storage: Storage, name: str) -> None:
    reseal(storage, name, {shard_of(storage, name): b"PAR1 but not really PAR1"})


def first_points(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def damage(storage: Storage, name: str) -> None:
        def spoil(clouds: list[PreparedCloud]) -> list[PreparedCloud]:
            spoilt = Cloud(change(clouds[0].cloud.points), clouds[0].cloud.label)
            bare = [replace(each, cloud=Cloud(each.cloud.points, each.cloud.label)) for each in clouds[1:]]
            return [replace(clouds[0], cloud=spoilt), *bare]

        change_clouds(storage, name, spoil)

    return damage


def forget_a_row(storage: Storage, name: str) -> None:
    change_clouds(storage, name, lambda clouds: clouds[1:])


def repeat_a_row(storage: Storage, name: str) -> None:
    change_clouds(storage, name, lambda clouds: [*clouds[1:], clouds[1]])


def leak_a_row(storage: Storage, name: str) -> None:
    """Put a test cloud in the place of a training cloud, and correct lists and manifest accordingly."""
    leaked = decode_clouds(storage.read(f"datasets/{name}/{shard_of(storage, name, 'test')}"))[0]
    change_clouds(storage, name, lambda clouds: [*clouds[1:], leaked])
    lists = json.loads(storage.read(f"datasets/{name}/splits.json"))
    clouds = decode_clouds(storage.read(f"datasets/{name}/{shard_of(storage, name)}"))
    others = {cloud.sample_id for cloud in clouds}
    lists["train"] = [*[identity for identity in lists["train"] if identity in others], leaked.sample_id]
    reseal(storage, name, {"splits.json": json.dumps(lists).encode()})


def label_outside(storage: Storage, name: str) -> None:
    def spoil(clouds: list[PreparedCloud]) -> list[PreparedCloud]:
        return [replace(clouds[0], cloud=replace(clouds[0].cloud, label=99)), *clouds[1:]]

    change_clouds(storage, name, spoil)


def part_labels(*labels: int) -> Damage:
    """Labels of points in a set of two parts."""

    def damage(storage: Storage, name: str) -> None:
        def spoil(clouds: list[PreparedCloud]) -> list[PreparedCloud]:
            own = [replace(each.cloud, point_labels=each.cloud.point_labels * 0) for each in clouds]
            own[0].point_labels[: len(labels)] = labels
            return [replace(each, cloud=cloud) for each, cloud in zip(clouds, own, strict=True)]

        change_clouds(storage, name, spoil)
        reseal(storage, name, {}, part_names=["seat", "leg"])

    return damage


def lack_an_array(storage: Storage, name: str) -> None:
    """Take an array out of all clouds of a shard, and leave it in the other shards."""
    change_clouds(
        storage,
        name,
        lambda clouds: [replace(each, cloud=replace(each.cloud, point_labels=None)) for each in clouds],
    )


def short_normals(storage: Storage, name: str) -> None:
    """Take the last normal from a cloud, and leave its points."""

    def spoil(clouds: list[PreparedCloud]) -> list[PreparedCloud]:
        cloud = clouds[0].cloud
        vars(cloud)["normals"] = cloud.normals[:-1]  # a cloud's own constructor would refuse it
        return clouds

    change_clouds(storage, name, spoil)


def other_counts(storage: Storage, name: str) -> None:
    rows = manifest_of(storage, name).details["rows"]
    reseal(storage, name, {}, rows={**rows, "train": rows["train"] + 1})


def other_ids(storage: Storage, name: str) -> None:
    lists = json.loads(storage.read(f"datasets/{name}/splits.json"))
    lists["test"][0] += 1
    reseal(storage, name, {"splits.json": json.dumps(lists).encode()})


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "a bit": (flip_a_bit, "train-", "another sha256"),
    "the end": (cut, "train-", r"has [\d,]+ bytes, not"),
    "a file": (lose, "train-", "is missing"),
    "the lists": (lose_the_lists, "splits.json", "is missing"),
    "two files swapped": (swap_two_shards, "test-", "bytes, not|another sha256"),
    "no shard": (write_nonsense, "train-", "is no shard"),
    "NaN": (first_points(lambda points: points * np.float32("nan")), "train-", "points that are not finite"),
    "too long": (first_points(lambda points: np.concatenate([points] * 2)), "train-", "64 to 128 points"),
    "empty": (first_points(lambda points: points[:0]), "train-", "0 to 64 points"),
    "a part": (part_labels(2), "train-", "point labels 0 to 2, of 2 parts"),
    "a part below": (part_labels(-2, 1), "train-", "point labels -2 to 1, of 2 parts"),
    "a normal": (short_normals, "train-", r"normals of shape \(2047, 3\).*not \(2048, 3\)"),
    "an array": (lack_an_array, "train-", r"holds points, normals, other shards .*point_labels"),
    "a label": (label_outside, "train-", "label 99, of 16 classes"),
    "a row": (forget_a_row, "manifest.json", "counts 48 rows of train, the shards hold 47"),
    "an id twice": (repeat_a_row, "the shards", "ids more than once"),
    "a leak": (leak_a_row, "the shards", "hold 1 ids more than once"),
    "rows": (other_counts, "manifest.json", "counts 49 rows of train, the shards hold 48"),
    "ids": (other_ids, "splits.json", "other ids of test"),
}


@pytest.mark.parametrize(("damage", "file", "problem"), DAMAGES.values(), ids=DAMAGES)
def test_every_kind_of_damage_is_found_and_its_file_named(
    damage: Damage, file: str, problem: str, storage: Storage, name: str
) -> None:
    damage(storage, name)
    found = verify(storage, name).damages
    assert [each for each in found if each.file.startswith(file) and re.search(problem, each.problem)], found


def test_a_whole_set_passes_and_is_counted(storage: Storage, name: str) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify(storage, name, progress=lambda done, total: told.append((done, total)))
    manifest = manifest_of(storage, name)
    assert verdict.damages == []
    assert verdict.leftovers == []
    assert dict(verdict.rows) == manifest.details["rows"]
    assert verdict.num_bytes == sum(entry.size for entry in manifest.files.values())
    assert told[-1] == (len(manifest.files), len(manifest.files))


def test_all_damages_are_named_at_once(storage: Storage, name: str) -> None:
    flip_a_bit(storage, name)
    lose_the_lists(storage, name)
    assert [each.file for each in verify(storage, name).damages] == ["splits.json", shard_of(storage, name)]


def test_what_no_manifest_lists_is_named_and_is_no_damage(storage: Storage, name: str) -> None:
    for leftover in ("train-00009-of-00010.parquet", ".splits.json.host.1.2"):
        (folder_of(storage, name) / leftover).write_bytes(b"half")
    verdict = verify(storage, name)
    assert verdict.leftovers == [".splits.json.host.1.2", "train-00009-of-00010.parquet"]
    assert verdict.damages == []


def test_source_files_are_compared_with_those_that_the_set_was_made_from(
    storage: Storage, name: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    digests = {}
    for file in ("same.h5", "changed.h5", "gone.h5"):
        (source / file).write_bytes(file.encode())
        digests[file] = hashlib.sha256(file.encode()).hexdigest()
    reseal(storage, name, {}, source_files=digests)
    assert verify(storage, name, source).damages == []
    (source / "changed.h5").write_bytes(b"changed")
    (source / "gone.h5").unlink()
    verdict = verify(storage, name, source)
    assert [str(each).partition(" ")[0] for each in verdict.damages] == [
        str(source / "changed.h5"),
        str(source / "gone.h5"),
    ]
    assert verdict.num_source_files == 3
    assert verify(storage, name).damages == []


def test_an_unfinished_set_is_told_from_one_that_is_not_there(storage: Storage, name: str) -> None:
    (folder_of(storage, name) / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"is unfinished: .*goes on from there"):
        verify(storage, name)
    shutil.rmtree(folder_of(storage, name))
    with pytest.raises(DataError, match="no prepared set"):
        verify(storage, name)


def test_a_manifest_that_is_not_legible_is_an_error_of_its_own(storage: Storage, name: str) -> None:
    manifest = folder_of(storage, name) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged"):
        verify(storage, name)
