"""Prepared sets: the same bytes whoever makes them, honest splits, whole shards, a cache to be trusted."""

import hashlib
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from formats.written_frames import write_7scenes

from conftest import SCANS, SHAPES
from pointlab.config import merge, validate
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.catalogue import SEVEN_SCENES
from pointlab.data.dataset import PREPARATION_VERSION, DatasetConfig, dataset_id, find_prepared
from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.planning import Plan, assign_splits, make_plan, sample_id
from pointlab.data.preparation import find_problem, make_shard
from pointlab.data.resampling import first_in_voxels, normalise, resample
from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.shards import PreparedCloud, decode_clouds, decode_shard, encode_shard
from pointlab.data.source import SourceIndex, SourceRow
from pointlab.errors import DataError, StorageError
from pointlab.experiment import LaunchConfig
from pointlab.geometry import farthest_point_sample
from pointlab.geometry.cameras import Pinhole, project
from pointlab.launch import ensure_prepared, prepare
from pointlab.seeding import stable_hash
from pointlab.storage import Storage, open_storage, read_manifest
from pointlab.training import ignore_progress

Clouds = dict[str, np.ndarray]
"""Points with normals [n, 6] of a release, by name: the class, an underscore and a number."""


def configured(base: dict[str, Any], **changes: Any) -> DatasetConfig:
    config: DatasetConfig = validate(DatasetConfig, merge(base, changes), "test")
    return config


def prepared(config: DatasetConfig, storage: Storage, kind: str = "local") -> tuple[str, DatasetManifest]:
    """Prepare the set; its name and its manifest."""
    name = prepare(config, storage, validate(LaunchConfig, {"kind": kind}, "test"), ignore_progress)
    return name, read_dataset(storage, name)


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "store"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def some_clouds(*sizes: int) -> Clouds:
    """Clouds of these sizes with unit normals, of the classes chair and table by turns."""
    draw = np.random.default_rng(5)
    return {f"{('chair', 'table')[n % 2]}_{n:04d}": some_rows(draw, size) for n, size in enumerate(sizes)}


def some_rows(draw: np.random.Generator, size: int) -> np.ndarray:
    rows = draw.normal(size=(size, 6)).astype(np.float32)
    rows[:, 3:] /= np.linalg.norm(rows[:, 3:], axis=1, keepdims=True)
    return rows


def write_release(root: Path, train: Clouds, test: Clouds | None = None) -> DatasetConfig:
    """A release in the layout of `modelnet40_normal_resampled`; clouds may differ in length."""
    root.mkdir(exist_ok=True)
    test = test if test is not None else {"chair_9999": np.tile(np.float32([1, 1, 1, 0, 1, 0]), (3, 1))}
    (root / "modelnet40_shape_names.txt").write_text("chair\ntable\n")
    for split, clouds in [("train", train), ("test", test)]:
        (root / f"modelnet40_{split}.txt").write_text("\n".join(clouds))
        for name, values in clouds.items():
            folder = root / name.rpartition("_")[0]
            folder.mkdir(exist_ok=True)
            np.savetxt(folder / f"{name}.txt", values, delimiter=",", fmt="%.9g")
    settings = {"name": "mine", "source": {"kind": "modelnet_txt"}, "root": str(root), "num_points": 8}
    return configured(settings, normalise="none", validation_fraction=0)


def stored_clouds(storage: Storage, name: str, split: str) -> dict[int, np.ndarray]:
    """The points of a split by sample id, read with pyarrow alone."""
    folder = Path(storage.address) / "datasets" / name
    found = {}
    for path in sorted(folder.glob(f"{split}-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["sample_id"]] = np.array(row["points"], np.float32).reshape(-1, 3)
    return found


# The plan


def test_shards_have_the_same_bytes_in_whatever_order_they_are_made() -> None:
    config = configured(SHAPES)
    plan, again = make_plan(config), make_plan(config)
    forwards = {shard.file: make_shard(config, plan.index, shard).content for shard in plan.shards}
    backwards = {shard.file: make_shard(config, again.index, shard).content for shard in again.shards[::-1]}
    assert len(forwards) == 4
    assert forwards == backwards


def ids_of(plan: Plan, split: str) -> list[int]:
    return [identity for shard in plan.shards if shard.split == split for identity in shard.ids]


def test_whose_a_set_is_can_be_stated_for_any_kind_and_leaves_other_names_alone(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    source = {"kind": "rgbd_frames", "style": "7scenes"}
    config = validate(DatasetConfig, {"name": "mine", "source": source, "root": str(tmp_path)}, "test")
    own = config.model_copy(update={"origin": "our rooms", "licence": "CC0"})
    card = make_plan(own).index.card
    assert (card.title, card.licence, card.terms, card.scale) == ("our rooms", "CC0", "", "metres")
    assert card.notice() == ""
    assert make_plan(config).index.card is SEVEN_SCENES
    settings = config.model_dump_json(exclude={"root", "origin", "licence", "estimate_normals"})
    assert config.recipe() == stable_hash(PREPARATION_VERSION, config.source.version, settings)


def test_every_row_goes_into_one_split_and_the_sizes_add_up(storage: Storage) -> None:
    config = configured(SHAPES)
    plan, name = make_plan(config), find_prepared(config, storage)
    assert name == plan.name
    manifest = read_dataset(storage, name)
    ids = {split: ids_of(plan, split) for split in ("train", "validation", "test")}
    assert manifest.rows == {split: len(members) for split, members in ids.items()}
    assert sum(manifest.rows.values()) == len(plan.index.rows) == len({i for m in ids.values() for i in m})
    assert json.loads(storage.read(f"datasets/{name}/splits.json")) == ids
    for split, members in ids.items():
        assert sorted(stored_clouds(storage, name, split)) == sorted(members)


@pytest.mark.parametrize(("fraction", "held_out"), [(0.1, 1), (0.25, 2), (0.5, 4)])
def test_validation_is_the_same_share_of_every_class_of_train(fraction: float, held_out: int) -> None:
    plan = make_plan(configured(SHAPES, source={"num_train_per_class": 8}, validation_fraction=fraction))
    rows = [row for shard in plan.shards if shard.split == "validation" for row in shard.rows]
    assert {row.split for row in rows} == {"train"}
    assert Counter(row.label for row in rows) == dict.fromkeys(range(len(plan.index.class_names)), held_out)


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4])
def test_every_class_keeps_a_row_to_train_on(num_rows: int) -> None:
    plan = make_plan(configured(SHAPES, source={"num_train_per_class": num_rows}, validation_fraction=0.9))
    rows = [row for shard in plan.shards if shard.split == "train" for row in shard.rows]
    assert {row.label for row in rows} == set(range(len(plan.index.class_names)))


def test_rows_of_other_classes_do_not_move_the_validation_split(tmp_path: Path) -> None:
    clouds = some_clouds(*[4] * 24)
    chairs = {name: values for name, values in clouds.items() if name.startswith("chair")}
    validation = []
    for number, train in enumerate([chairs, clouds]):
        config = write_release(tmp_path / str(number), train)
        plan = make_plan(config.model_copy(update={"validation_fraction": 0.25}))
        rows = [row for shard in plan.shards if shard.split == "validation" for row in shard.rows]
        validation.append({row.file for row in rows if row.file.startswith("chair")})
    assert len(validation[0]) == 3
    assert validation[0] == validation[1]


@pytest.mark.parametrize("added", [1, 4, 20])
def test_new_rows_of_a_class_displace_old_ones_in_one_direction_only(added: int) -> None:
    """Old rows only leave validation or only join it; never do two old rows change places."""

    def validation_rows(num_train: int) -> set[tuple[str, int]]:
        plan = make_plan(configured(SHAPES, source={"num_train_per_class": num_train}))
        rows = [row for shard in plan.shards if shard.split == "validation" for row in shard.rows]
        return {(row.file, row.row) for row in rows}

    before = validation_rows(8)
    after = {(file, row) for file, row in validation_rows(8 + added) if row < 8}
    for name in {file for file, _ in before}:
        one = {row for file, row in before if file == name}
        other = {row for file, row in after if file == name}
        assert one <= other or other <= one


@pytest.mark.parametrize(
    "changes",
    [{"num_points": 32}, {"clouds_per_shard": 5}, {"validation_fraction": 0.5}, {"normalise": "none"}],
    ids=str,
)
def test_sample_ids_stay_when_a_set_is_prepared_otherwise(changes: dict[str, Any]) -> None:
    def ids_by_row(config: DatasetConfig) -> dict[tuple[str, int], int]:
        shards = make_plan(config).shards
        return {
            (row.file, row.row): identity
            for shard in shards
            for row, identity in zip(shard.rows, shard.ids, strict=True)
        }

    assert ids_by_row(configured(SHAPES, **changes)) == ids_by_row(configured(SHAPES))


def test_equal_clouds_share_their_content_hash_and_not_their_id(tmp_path: Path) -> None:
    values = some_clouds(20)["chair_0000"]
    config = write_release(tmp_path / "release", {"chair_0001": values, "table_0002": values})
    plan = make_plan(config)
    table = pq.read_table(io.BytesIO(make_shard(config, plan.index, plan.shards[0]).content))
    assert len(set(table["sample_id"].to_pylist())) == 2
    points = np.ascontiguousarray(values[:, :3])
    assert set(table["content_hash"].to_pylist()) == {hashlib.sha256(points.tobytes()).hexdigest()[:16]}


# Clouds


def test_any_prefix_of_a_stored_cloud_is_its_farthest_point_sample() -> None:
    config = configured(SHAPES, normalise="none")
    plan = make_plan(config)
    shard = plan.shards[-1]
    originals = config.source.read(None, shard.rows)
    stored = (
        decode_shard(make_shard(config, plan.index, shard).content).per_point["points"].reshape(-1, 64, 3)
    )
    points = torch.from_numpy(np.stack([cloud.points for cloud in originals]))
    for length in (1, 7, 64):
        rows = farthest_point_sample(points, length)
        expected = points.gather(1, rows.unsqueeze(2).expand(-1, -1, 3))
        np.testing.assert_array_equal(stored[:, :length], expected)


def test_clouds_sampled_together_come_out_as_if_alone_with_all_their_arrays() -> None:
    draw = np.random.default_rng(3)
    clouds = []
    for size in (70, 12, 40, 70, 41, 5):
        points = draw.normal(size=(size, 3)).astype(np.float32)
        clouds.append(Cloud(points, label=size, normals=-points, point_labels=np.arange(size)))
    for cloud, sampled in zip(clouds, resample(clouds, range(6), 20), strict=True):
        (alone,) = resample([cloud], [0], 20)
        np.testing.assert_array_equal(sampled.points, alone.points)
        np.testing.assert_array_equal(sampled.normals, -sampled.points)
        np.testing.assert_array_equal(sampled.points, cloud.points[sampled.point_labels])
        assert sampled.label == cloud.label


def test_a_cloud_smaller_than_wanted_keeps_all_its_points_and_repeats_none(
    tmp_path: Path, store: Storage
) -> None:
    clouds = some_clouds(3, 8, 20, 7)
    name, _ = prepared(write_release(tmp_path / "release", clouds), store)
    kept = sorted(stored_clouds(store, name, "train").values(), key=len)
    assert [len(points) for points in kept] == [3, 7, 8, 8]
    assert all(len(np.unique(points, axis=0)) == len(points) for points in kept)
    originals = sorted((values[:, :3] for values in clouds.values()), key=len)
    for points, original in zip(kept, originals[:2], strict=False):
        np.testing.assert_array_equal(np.unique(points, axis=0), np.unique(original, axis=0))


def test_the_unit_sphere_is_centred_on_the_mean_and_touches_the_farthest_point() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32) * [9, 1, 3] + [100, 0, -5]
    cloud = Cloud(points.astype(np.float32), label=1, normals=np.ones((50, 3), np.float32))
    normalised = normalise(cloud)
    np.testing.assert_allclose(normalised.points.mean(0), 0, atol=1e-5)
    assert np.linalg.norm(normalised.points, axis=1).max() == pytest.approx(1, abs=1e-6)
    ratio = np.ptp(normalised.points, axis=0) / np.ptp(points, axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)  # one factor for all axes
    np.testing.assert_array_equal(normalised.normals, cloud.normals)


def test_a_cloud_of_one_place_is_centred_and_stays_finite() -> None:
    normalised = normalise(Cloud(np.full((4, 3), 7, np.float32)))
    np.testing.assert_array_equal(normalised.points, np.zeros((4, 3)))


def test_stored_clouds_lie_in_the_unit_sphere_unless_told_otherwise(storage: Storage) -> None:
    name = find_prepared(configured(SHAPES), storage)
    assert name is not None
    for points in stored_clouds(storage, name, "train").values():
        np.testing.assert_allclose(points.mean(0), 0, atol=1e-6)
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("cloud", "problem"),
    [
        (Cloud(np.zeros((0, 3), np.float32), 0), "empty"),
        (Cloud(np.array([[0, 0, np.nan]], np.float32), 0), "NaN or infinite (1 of 1)"),
        (Cloud(np.array([[0, 0, np.inf]], np.float32), 0), "NaN or infinite (1 of 1)"),
        (Cloud(np.ones((1, 3), np.float32), 2), "label outside the classes (2, of 2"),
        (Cloud(np.ones((1, 3), np.float32), -1), "label outside the classes (-1"),
        (Cloud(np.ones((1, 3), np.float32), 0, np.full((1, 3), np.nan, np.float32)), "normals that are NaN"),
        (
            Cloud(np.ones((1, 3), np.float32), 0, None, np.full((1, 3), np.inf, np.float32)),
            "colours that are",
        ),
        (Cloud(np.ones((2, 3), np.float32), 0, point_labels=np.array([0, 3])), "parts (0 to 3, of 3 parts)"),
        (
            Cloud(np.ones((2, 3), np.float32), 0, point_labels=np.array([-2, 1])),
            "parts (-2 to 1, of 3 parts)",
        ),
    ],
)
def test_an_unusable_cloud_is_recognised(cloud: Cloud, problem: str) -> None:
    found = find_problem(cloud, num_classes=2, num_parts=3)
    assert found is not None
    assert problem in str(found)


def test_a_usable_cloud_is_not_suspected() -> None:
    assert find_problem(Cloud(np.ones((1, 3), np.float32), 1), num_classes=2) is None
    partly_known = Cloud(
        np.ones((2, 3), np.float32),
        normals=np.array([[0, 0, 0], [0, 1, 0]], np.float32),
        point_labels=np.array([-1, 2]),
    )
    assert find_problem(partly_known, num_classes=0, num_parts=3) is None
    assert find_problem(Cloud(np.ones((1, 3), np.float32), None), num_classes=0) is None


def spoilt_clouds() -> Clouds:
    clouds = some_clouds(9, 9, 9, 9, 9)
    clouds["chair_0000"][4, 1] = np.nan
    clouds["chair_0002"][0, 0] = np.inf
    return clouds


def test_an_unusable_cloud_stops_the_preparation_and_is_named(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", spoilt_clouds())
    with pytest.raises(DataError, match=r"chair_000[02]\.txt .* NaN or infinite \(1 of 9\)") as caught:
        prepared(config, store)
    assert "data.bad_clouds=drop" in caught.value.remedy
    assert read_manifest(store, f"datasets/{make_plan(config).name}") is None


def test_dropped_clouds_are_counted_by_reason(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", spoilt_clouds())
    name, manifest = prepared(config.model_copy(update={"bad_clouds": "drop"}), store)
    assert manifest.rows == {"train": 3, "test": 1}
    assert manifest.dropped == {"has points that are NaN or infinite": 2}
    assert len(json.loads(store.read(f"datasets/{name}/splits.json"))["train"]) == 3
    assert len(stored_clouds(store, name, "train")) == 3


def test_a_shard_that_lost_all_its_clouds_does_not_spoil_the_set(
    tmp_path: Path, store: Storage, cache: Path
) -> None:
    config = write_release(tmp_path / "release", spoilt_clouds())
    name, manifest = prepared(config.model_copy(update={"bad_clouds": "drop", "clouds_per_shard": 1}), store)
    assert manifest.rows["train"] == 3
    split = open_split(store, name, "train")
    assert sorted(split.ids) == sorted(stored_clouds(store, name, "train"))


# Shards


def hand_made(*sizes: int, **arrays: bool) -> list[PreparedCloud]:
    """Clouds of these sizes, with the optional arrays that are asked for; the last has no label."""
    draw = np.random.default_rng(8)

    def vectors(size: int) -> np.ndarray:
        return draw.normal(size=(size, 3)).astype(np.float32)

    clouds = []
    for number, size in enumerate(sizes):
        optional = {name: vectors(size) for name in ("normals", "colours") if arrays.get(name)}
        if arrays.get("point_labels"):
            optional["point_labels"] = draw.integers(0, 5, size)
        label = number if number < len(sizes) - 1 else None
        cloud = Cloud(vectors(size), label, caption=f"cloud {number}", **optional)
        clouds.append(PreparedCloud(2**62 + number, f"{number:016x}", cloud))
    return clouds


@pytest.mark.parametrize("num_points", [6, None], ids=["fixed", "ragged"])
@pytest.mark.parametrize("optional", [(), ("normals",), ("normals", "colours", "point_labels")], ids=len)
def test_a_shard_round_trips(num_points: int | None, optional: tuple[str, ...]) -> None:
    sizes = (6, 6, 6) if num_points else (4, 1, 130)
    clouds = hand_made(*sizes, **dict.fromkeys(optional, True))
    columns = decode_shard(encode_shard(clouds, num_points))
    assert columns.ids.tolist() == [cloud.sample_id for cloud in clouds]
    assert columns.labels.tolist() == [0, 1, -1]
    assert columns.offsets.tolist() == np.cumsum([0, *sizes]).tolist()
    assert set(columns.per_point) == {"points", *optional}
    for name, values in columns.per_point.items():
        written = np.concatenate([getattr(cloud.cloud, name) for cloud in clouds])
        assert values.dtype == written.dtype
        np.testing.assert_array_equal(values, written)


def test_a_fixed_set_is_stored_as_tensors_that_any_reader_of_parquet_knows() -> None:
    clouds = hand_made(6, 6, normals=True, point_labels=True)
    table = pq.read_table(io.BytesIO(encode_shard(clouds, 6)))
    assert table.schema.field("points").type == pa.fixed_shape_tensor(pa.float32(), [6, 3])
    assert table.schema.field("normals").type == pa.fixed_shape_tensor(pa.float32(), [6, 3])
    assert table.schema.field("point_labels").type == pa.fixed_shape_tensor(pa.int64(), [6])
    dense = table["points"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(dense, np.stack([cloud.cloud.points for cloud in clouds]))
    assert table["caption"].to_pylist() == ["cloud 0", "cloud 1"]
    assert table["content_hash"].to_pylist() == [cloud.content_hash for cloud in clouds]
    assert table["label"].to_pylist() == [0, None]


def test_a_ragged_set_is_stored_as_lists() -> None:
    clouds = hand_made(4, 1)
    table = pq.read_table(io.BytesIO(encode_shard(clouds, None)))
    assert table.schema.field("points").type == pa.large_list(pa.list_(pa.float32(), 3))
    assert table["points"].to_pylist() == [cloud.cloud.points.tolist() for cloud in clouds]


@pytest.mark.parametrize(
    ("settings", "is_fixed"),
    [(SHAPES, True), (merge(SHAPES, {"num_points": 200}), False), (SCANS, False)],
    ids=["as many as there are", "more than there are", "scans"],
)
def test_only_sets_of_one_length_are_stored_as_tensors(settings: dict[str, Any], is_fixed: bool) -> None:
    config = configured(settings, clouds_per_shard=2)
    plan = make_plan(config)
    content = make_shard(config, plan.index, plan.shards[-1]).content
    kind = pq.read_schema(io.BytesIO(content)).field("points").type
    assert isinstance(kind, pa.FixedShapeTensorType) == is_fixed


def test_a_cloud_of_another_length_does_not_enter_a_fixed_set() -> None:
    with pytest.raises(DataError, match="5 points in a set of 6"):
        encode_shard(hand_made(6, 5), 6)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"text", parquet(pa.table({"x": [1]}))], ids=["empty", "text", "other"]
)
def test_what_is_no_shard_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="not a pointlab shard") as caught:
        decode_shard(content)
    assert caught.value.remedy


# The manifest and the name


def test_the_manifest_says_where_a_set_comes_from_and_what_it_holds(tmp_path: Path, store: Storage) -> None:
    root = tmp_path / "release"
    config = write_release(root, some_clouds(9, 9, 9))
    name, manifest = prepared(config, store)
    sources = [path for path in root.rglob("*") if path.is_file()]
    assert manifest.source_files == {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sources
    }
    assert manifest.rows == {"train": 3, "test": 1}
    assert manifest.class_names == ("chair", "table")
    assert (manifest.num_points, manifest.normalise, manifest.dropped) == (8, "none", {})
    assert (manifest.name, manifest.recipe) == ("mine", config.recipe())
    assert "ModelNet" in manifest.card.title
    assert manifest.card.licence
    assert manifest.source["kind"] == "modelnet_txt"
    files = read_manifest(store, f"datasets/{name}").files
    for file, entry in files.items():
        content = store.read(f"datasets/{name}/{file}")
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert set(store.files(f"datasets/{name}")) == {*files, "manifest.json"}


def name_of(config: DatasetConfig) -> str:
    return dataset_id(config, config.source.index(config.root_path))


def test_the_name_stays_when_the_folder_moves(tmp_path: Path) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    before = name_of(config)
    (tmp_path / "release").rename(tmp_path / "elsewhere")
    assert name_of(config.model_copy(update={"root": str(tmp_path / "elsewhere")})) == before


def test_the_name_changes_with_one_digit_of_one_file(tmp_path: Path) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    before = name_of(config)
    path = tmp_path / "release/chair/chair_0000.txt"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert name_of(config) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"num_points": 7},
        {"normalise": "unit_sphere"},
        {"validation_fraction": 0.5},
        {"bad_clouds": "drop"},
        {"source": {"up_axis": "z"}},
    ],
    ids=str,
)
def test_the_name_changes_with_the_recipe(changes: dict[str, Any], tmp_path: Path) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    changed = configured(config.model_dump(), **changes)
    assert name_of(changed) != name_of(config)


def test_the_name_changes_when_a_file_is_renamed(tmp_path: Path) -> None:
    """A class or a split may be a folder's name: equal content in another place is another set."""
    draw = np.random.default_rng(4)
    for name in ("train/chair/0", "train/table/0", "test/chair/0"):
        path = tmp_path / "mine" / f"{name}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, draw.normal(size=(9, 3)))
    settings = {"name": "mine", "source": {"kind": "folder", "up_axis": "y"}, "root": str(tmp_path / "mine")}
    config = configured(settings)
    names = [name_of(config)]
    for before, after in [("train/chair", "train/sofa"), ("train/table", "test/table")]:
        (tmp_path / "mine" / before).rename(tmp_path / "mine" / after)
        names.append(name_of(config))
    assert len(set(names)) == 3


def test_the_name_changes_when_a_reader_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    before = name_of(config)
    monkeypatch.setattr(type(config.source), "version", config.source.version + 1)
    assert name_of(config) != before


def test_a_prepared_set_is_found_without_its_source_files(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    name, _ = prepared(config, store)
    shutil.rmtree(tmp_path / "release")
    assert find_prepared(config.model_copy(update={"root": None}), store) == name


def test_two_sets_of_one_recipe_are_told_apart_by_their_source_only(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", some_clouds(9, 9))
    first, _ = prepared(config, store)
    second, _ = prepared(write_release(tmp_path / "release", some_clouds(9, 9, 9)), store)
    with pytest.raises(DataError, match=rf"(?s)(?=.*{first})(?=.*{second})") as caught:
        find_prepared(config.model_copy(update={"root": None}), store)
    assert "data.root" in caught.value.remedy
    assert find_prepared(config, store) == second


# Going on after a kill


def test_a_killed_preparation_goes_on_where_it_stopped_with_the_same_bytes(
    tmp_path: Path, store: Storage
) -> None:
    config = write_release(tmp_path / "release", some_clouds(*[9] * 12)).model_copy(
        update={"clouds_per_shard": 2}
    )
    undisturbed = open_storage(str(tmp_path / "undisturbed"))
    name, _ = prepared(config, undisturbed)

    class KilledError(BaseException):
        pass

    def kill_after_three(_: str, done: int, *__: object) -> None:
        if done == 3:
            raise KilledError

    launch = LaunchConfig(kind="local")
    with pytest.raises(KilledError):
        prepare(config, store, launch, kill_after_three)
    assert read_manifest(store, f"datasets/{name}") is None
    kept = {
        file: (Path(store.address) / "datasets" / name / file).stat().st_mtime_ns
        for file in store.files(f"datasets/{name}")
    }
    assert len(kept) == 3
    spoilt = min(kept)
    store.write(f"datasets/{name}/{spoilt}", b"half of it")
    steps: list[int] = []
    assert prepare(config, store, launch, lambda _, done, *__: steps.append(done)) == name
    assert steps == [3, 4, 5, 6, 7]  # two of three are there, and the spoilt one is made anew
    for file in store.files(f"datasets/{name}"):
        path = Path(store.address) / "datasets" / name / file
        assert path.read_bytes() == undisturbed.read(f"datasets/{name}/{file}")
        assert (path.stat().st_mtime_ns == kept.get(file)) == (file in kept and file != spoilt)
    assert store.folders(f"datasets/{name}") == []


def test_a_set_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", spoilt_clouds()).model_copy(update={"clouds_per_shard": 1})
    with pytest.raises(DataError):
        prepared(config, store)
    assert store.folders("datasets") == []


# The checks at the door


def copied_clouds() -> tuple[Clouds, Clouds]:
    """Training and test clouds of which one is in both."""
    train, test = some_clouds(*[40] * 8), some_clouds(*[40] * 2)
    draw = np.random.default_rng(11)
    test = {f"{name[:-4]}9{name[-3:]}": some_rows(draw, len(values)) for name, values in test.items()}
    test["chair_9000"] = train["chair_0002"]
    return train, test


def strictly(config: DatasetConfig, storage: Storage) -> str:
    return ensure_prepared(config, storage, LaunchConfig(kind="local", strict=True), ignore_progress)


def test_findings_are_kept_with_the_set_and_name_clouds(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", *copied_clouds())
    _, manifest = prepared(config, store)
    warnings = [finding for finding in manifest.findings if finding.severity == "warning"]
    copies = [finding for finding in warnings if "cop" in finding.check]
    assert [finding.count for finding in copies] == [2]
    ids = {sample_id(config, row) for row in config.source.index(config.root_path).rows}
    assert set(copies[0].sample_ids) <= ids
    listed = store.read(f"datasets/{make_plan(config).name}/findings.csv").decode().splitlines()
    assert listed[0] == "check,severity,id,file,row,twin_id,twin_file,twin_row"
    named = {line.split(",")[3] for line in listed if line.startswith("copies across splits,warning,")}
    assert named == {"chair/chair_0002.txt", "chair/chair_9000.txt"}


def test_strict_accepts_a_check_by_name(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", *copied_clouds())
    launch = LaunchConfig(kind="local", strict=True, accept=("copies across splits",))
    assert ensure_prepared(config, store, launch, ignore_progress)


def test_findings_do_not_depend_on_the_shards(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", *copied_clouds())
    findings = [
        prepared(config.model_copy(update={"clouds_per_shard": size}), store)[1].findings
        for size in (1, 3, 100)
    ]
    assert findings[0] == findings[1] == findings[2]


def test_strict_makes_a_warning_an_error_each_time_and_the_set_is_whole(
    tmp_path: Path, store: Storage
) -> None:
    config = write_release(tmp_path / "release", *copied_clouds())
    for _ in range(2):
        with pytest.raises(DataError, match="problem") as caught:
            strictly(config, store)
        assert "strict" in caught.value.remedy
    name = find_prepared(config, store)
    assert name is not None
    assert [finding.severity for finding in read_dataset(store, name).findings].count("warning") == 1
    assert ensure_prepared(config, store, LaunchConfig(kind="local"), ignore_progress) == name


def test_normals_of_other_lengths_are_made_right_and_counted(tmp_path: Path, store: Storage) -> None:
    clouds = some_clouds(8, 8, 8)
    clouds["chair_0000"][2, 3:] *= 5
    clouds["chair_0002"][:2, 3:] *= 0.25
    clouds["table_0001"][1, 3:] = 0  # not known: stays
    name, manifest = prepared(write_release(tmp_path / "release", clouds), store)
    assert manifest.defects == {"normals of other lengths": 3}
    split = open_split(store, name, "train")
    lengths = np.linalg.norm(split.per_point["normals"], axis=1)
    assert sorted(set(lengths.round(5).tolist())) == [0, 1]
    assert (lengths == 0).sum() == 1


def test_strict_lets_a_clean_set_through(storage: Storage) -> None:
    assert strictly(configured(SHAPES), storage).startswith("shapes-")


def test_clouds_with_and_without_an_array_make_no_set(tmp_path: Path, store: Storage) -> None:
    """In one file they would be shifted against each other, whichever shards they came from."""
    root = tmp_path / "mine" / "chair"
    root.mkdir(parents=True)
    draw = np.random.default_rng(2)
    for number in range(6):
        points = draw.normal(size=(20, 3))
        normals = draw.normal(size=(20, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        np.save(root / f"{number}.npy", points if number == 3 else np.hstack([points, normals]))
    settings = {
        "name": "mine",
        "source": {"kind": "folder", "up_axis": "y"},
        "root": str(root.parent),
        "num_points": 8,
        "clouds_per_shard": 1,
        "validation_fraction": 0,
    }
    with pytest.raises(DataError, match=r"do not all have the same arrays: points in .*; points, normals in"):
        prepared(configured(settings), store)
    assert store.folders("datasets") == []


def test_files_that_change_meanwhile_are_never_certified(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", some_clouds(*[9] * 4)).model_copy(
        update={"clouds_per_shard": 1}
    )

    def exchange(_: str, done: int, *__: object) -> None:
        if done == 2:
            path = tmp_path / "release/chair/chair_0000.txt"
            path.write_text(path.read_text().replace("1", "2"))

    with pytest.raises(DataError, match=r"changed meanwhile, such as chair/chair_0000\.txt"):
        prepare(config, store, LaunchConfig(kind="local"), exchange)
    assert store.folders("datasets") == []


def test_two_preparations_of_one_set_make_it_once(tmp_path: Path, store: Storage) -> None:
    config = write_release(tmp_path / "release", some_clouds(*[9] * 8)).model_copy(
        update={"clouds_per_shard": 1}
    )
    steps: list[int] = []

    def slowly(_: str, done: int, *__: object) -> None:
        steps.append(done)
        time.sleep(0.01)

    launch = LaunchConfig(kind="local")
    with ThreadPoolExecutor(2) as pool:
        names = [pool.submit(prepare, config, store, launch, slowly) for _ in range(2)]
    assert names[0].result() == names[1].result()
    assert steps == list(range(1, 10))


def half_made(tmp_path: Path, store: Storage) -> tuple[DatasetConfig, str, Path]:
    """A set of which some shards are there, with its name and the folder of their notes."""
    config = write_release(tmp_path / "release", some_clouds(*[9] * 4)).model_copy(
        update={"clouds_per_shard": 1}
    )

    class KilledError(BaseException):
        pass

    def kill(_: str, done: int, *__: object) -> None:
        if done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        prepare(config, store, LaunchConfig(kind="local"), kill)
    name = make_plan(config).name
    return config, name, Path(store.address) / "datasets" / name / "unfinished"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note[: len(note) // 2],
        lambda note: json.dumps(json.loads(note) | {"code": "0.0.0+other"}),
        lambda note: json.dumps(json.loads(note) | {"examination": {"layout": "another", "split": "train"}}),
        lambda note: note.replace('"records":"', '"records":"0'),
        lambda note: note.replace('"split":"train"', '"split":"trial"'),
    ],
    ids=["cut short", "other code", "other layout", "other records", "no split"],
)
def test_a_note_that_does_not_fit_has_its_shard_made_anew(spoil: Any, tmp_path: Path, store: Storage) -> None:
    config, name, notes = half_made(tmp_path, store)
    note = sorted(notes.glob("train-*.json"))[0]
    note.write_text(spoil(note.read_text()))
    steps: list[int] = []
    assert prepare(config, store, LaunchConfig(kind="local"), lambda _, n, *__: steps.append(n)) == name
    assert steps == [3, 4, 5]


def test_a_disk_that_is_gone_costs_no_shard(tmp_path: Path, store: Storage) -> None:
    config, name, notes = half_made(tmp_path, store)
    kept = sorted(path.name for path in notes.iterdir())

    def unmount(_: str, done: int, *__: object) -> None:
        if done == 4:
            (tmp_path / "release").rename(tmp_path / "elsewhere")

    with pytest.raises(DataError):
        prepare(config, store, LaunchConfig(kind="local"), unmount)
    assert {path.name for path in notes.iterdir()} > set(kept)
    (tmp_path / "elsewhere").rename(tmp_path / "release")
    assert prepare(config, store, LaunchConfig(kind="local"), ignore_progress) == name


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_an_error_on_ray_leaves_nothing_behind_that_comes_later(tmp_path: Path, store: Storage) -> None:
    clouds = some_clouds(*[20_000] * 10)
    clouds["chair_0000"][0, 0] = clouds["table_0001"][0, 0] = np.nan
    config = write_release(tmp_path / "release", clouds).model_copy(update={"clouds_per_shard": 1})
    with pytest.raises(DataError):
        prepared(config, store, "ray")
    assert store.folders("datasets") == []
    time.sleep(1)
    assert store.folders("datasets") == []


# Scenes


def test_a_group_never_lies_on_both_sides_of_a_carved_split() -> None:
    rows = [SourceRow(f"frame-{n}", 0, "train", None, f"scene-{n % 7}") for n in range(70)]
    config = configured(SHAPES, validation_fraction=0.2)
    by_split = assign_splits(config, SourceIndex((), tuple(rows), is_grouped=True))
    groups = {split: {row.group for row in members} for split, members in by_split.items()}
    assert len(by_split["validation"]) == 20
    assert not groups["validation"] & groups["train"]
    alone = assign_splits(config, SourceIndex((), tuple(rows)))
    assert len(alone["validation"]) == 14


def test_a_single_group_is_trained_on() -> None:
    rows = tuple(SourceRow(f"frame-{n}", 0, "train", None, "scene") for n in range(5))
    by_split = assign_splits(
        configured(SHAPES, validation_fraction=0.5), SourceIndex((), rows, is_grouped=True)
    )
    assert len(by_split["train"]) == 5


def test_a_grid_keeps_the_first_point_of_every_cell() -> None:
    draw = np.random.default_rng(0)
    points = draw.uniform(-1, 1, (500, 3)).astype(np.float32)
    kept = first_in_voxels(points, 0.5)
    cells = [tuple(cell) for cell in np.floor(points / 0.5).astype(int)]
    assert kept.tolist() == [row for row, cell in enumerate(cells) if cell not in cells[:row]]
    assert len(kept) == len(set(cells))


def test_a_random_sample_depends_on_the_id_and_any_prefix_is_a_smaller_one() -> None:
    cloud = Cloud(
        np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32), point_labels=np.arange(200)
    )
    first, second = resample([cloud, cloud], [1, 2], 50, "random")
    (alone,) = resample([cloud], [2], 80, "random")
    assert not np.array_equal(first.points, second.points)
    np.testing.assert_array_equal(second.points, alone.points[:50])
    assert len(set(alone.point_labels.tolist())) == 80


def seen_cloud() -> Cloud:
    camera = Pinhole(4, 3, 2.0, 2.5, 1.5, 1.0)
    pose = np.eye(4)
    pose[:3, 3] = [0.1, -0.2, 5.0]
    colour = Picture(b"a picture", camera, pose)
    depth = Picture(b"depths", replace(camera, width=8), pose, unit=0.001)
    points = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)
    return Cloud(points * 3 + 7, 0, caption="seen", views=(View("a", colour, depth), View("b", None, depth)))


def test_views_and_groups_round_trip_through_a_shard() -> None:
    clouds = [PreparedCloud(1, "0" * 16, seen_cloud(), "scene-1"), *hand_made(6, 6)]
    decoded = decode_clouds(encode_shard(clouds, 6))
    assert [cloud.group for cloud in decoded] == ["scene-1", "", ""]
    for before, after in zip(clouds, decoded, strict=True):
        assert (before.sample_id, before.content_hash) == (after.sample_id, after.content_hash)
        assert (before.cloud.label, before.cloud.caption) == (after.cloud.label, after.cloud.caption)
        np.testing.assert_array_equal(before.cloud.points, after.cloud.points)
        assert len(before.cloud.views) == len(after.cloud.views)
    for before, after in zip(clouds[0].cloud.views, decoded[0].cloud.views, strict=True):
        assert before.name == after.name
        for one, other in ((before.colour, after.colour), (before.depth, after.depth)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert (one.content, one.camera, one.unit) == (other.content, other.camera, other.unit)
                np.testing.assert_array_equal(one.pose, other.pose)


def test_views_follow_a_cloud_into_the_unit_sphere() -> None:
    cloud = seen_cloud()
    view = cloud.views[0].depth
    placed = normalise(cloud)
    moved = placed.views[0].depth
    assert view is not None
    assert moved is not None
    before = project(torch.from_numpy(cloud.points).double(), view.camera, torch.from_numpy(view.pose))
    after = project(torch.from_numpy(placed.points).double(), moved.camera, torch.from_numpy(moved.pose))
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5)
    np.testing.assert_allclose(before[1], after[1], rtol=1e-5)  # the depth stays in the camera's units


# The cache


@pytest.fixture
def dataset(storage: Storage) -> str:
    """The name of the prepared shapes."""
    name = find_prepared(configured(SHAPES), storage)
    assert name is not None
    return name


def test_the_cache_holds_what_the_shards_hold(storage: Storage, dataset: str, cache: Path) -> None:
    split, written = open_split(storage, dataset, "train"), stored_clouds(storage, dataset, "train")
    assert len(split) == len(written) == read_dataset(storage, dataset).rows["train"]
    for row, identity in enumerate(split.ids):
        np.testing.assert_array_equal(split.arrays(row, ("points",))["points"], written[int(identity)])


def test_the_cache_is_filled_once(storage: Storage, dataset: str, cache: Path) -> None:
    first = open_split(storage, dataset, "train")
    storage.delete_folder(f"datasets/{dataset}")
    again = open_split(storage, dataset, "train")
    np.testing.assert_array_equal(first.per_point["points"], again.per_point["points"])
    with pytest.raises(DataError, match="no prepared set"):
        open_split(storage, dataset, "validation")


def test_a_flipped_byte_in_a_shard_never_enters_the_cache(
    storage: Storage, dataset: str, cache: Path
) -> None:
    shard = next(name for name in storage.files(f"datasets/{dataset}") if name.startswith("train-00001"))
    content = bytearray(storage.read(f"datasets/{dataset}/{shard}"))
    content[len(content) // 2] ^= 1
    storage.write(f"datasets/{dataset}/{shard}", bytes(content))
    with pytest.raises(StorageError, match=f"{shard} is damaged") as caught:
        open_split(storage, dataset, "train")
    assert "delete" in caught.value.remedy
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert len(open_split(storage, dataset, "test")) == 16


def test_a_split_that_is_not_there_is_named_with_those_that_are(
    storage: Storage, dataset: str, cache: Path
) -> None:
    with pytest.raises(DataError, match="no tset split") as caught:
        open_split(storage, dataset, "tset")
    assert caught.value.expected == "test, train, validation"


def test_fills_at_the_same_time_leave_one_whole_split(storage: Storage, dataset: str, cache: Path) -> None:
    def fill(number: int) -> CachedSplit:
        time.sleep(number / 1000)  # so that some begin while others end
        return open_split(storage, dataset, "train")

    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            shutil.rmtree(cache, ignore_errors=True)
            splits = list(threads.map(fill, range(8)))
            assert [path.name for path in (cache / dataset).iterdir()] == ["train"]
    for split in splits:
        np.testing.assert_array_equal(split.per_point["points"], splits[0].per_point["points"])


def test_a_file_that_goes_while_the_cache_is_measured_does_not_matter(
    storage: Storage, dataset: str, cache: Path
) -> None:
    other = cache / "other-set/train"
    other.mkdir(parents=True)
    np.save(other / "ids.npy", np.zeros(1))
    (other / "points.npy").symlink_to("gone")  # listed, and no longer there when its size is asked for
    assert len(open_split(storage, dataset, "test")) == 16


def three_sets(storage: Storage) -> Iterator[str]:
    """The prepared sets, a second apart in when they were used last, the first longest ago."""
    for age, name in enumerate(storage.folders("datasets")):
        folder = open_split(storage, name, "test").folder.parent
        os.utime(folder, (1e9 + age, 1e9 + age))
        yield name


def test_a_full_cache_loses_the_set_used_longest_ago(
    storage: Storage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_split(storage, storage.folders("datasets")[-1], "train")
    total = sum(path.stat().st_size for path in cache.rglob("*.npy"))
    shutil.rmtree(cache)
    oldest, middle, newest = three_sets(storage)
    total += sum(path.stat().st_size for path in cache.rglob("*.npy"))
    open_split(storage, oldest, "test")  # so that the middle one was used longest ago
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", str(total - 1))
    open_split(storage, newest, "train")
    assert sorted(path.name for path in cache.iterdir()) == sorted([oldest, newest])
    assert middle in storage.folders("datasets")


def test_a_set_in_use_is_not_evicted_however_small_the_bound(
    storage: Storage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, middle, _ = three_sets(storage)
    held = open_split(storage, middle, "test")
    before = held.per_point["points"].copy()
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", "1")
    train = open_split(storage, oldest, "train")
    assert [path.name for path in cache.iterdir()] == [oldest]
    assert sorted(path.name for path in (cache / oldest).iterdir()) == ["test", "train"]
    assert len(train) > 0
    np.testing.assert_array_equal(held.per_point["points"], before)  # mapped, although its files are gone


def test_eviction_leaves_alone_what_is_no_cached_set(
    storage: Storage, dataset: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "thesis").mkdir(parents=True)
    (cache / "thesis/chapter.txt").write_text("years of work")
    open_split(storage, dataset, "test")
    monkeypatch.setenv("POINTLAB_CACHE_BYTES", "1")
    for name in storage.folders("datasets"):
        open_split(storage, name, "train")
    assert (cache / "thesis/chapter.txt").exists()


# On Ray


def all_files(storage: Storage) -> dict[str, bytes]:
    """All files of all prepared sets; leases are each process's own."""
    root = Path(storage.address) / "datasets"
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_preparing_on_ray_gives_the_files_of_this_process_byte_for_byte(tmp_path: Path) -> None:
    here, there = (open_storage(str(tmp_path / place)) for place in ("here", "there"))
    for settings in (SHAPES, SCANS):
        config = configured(settings, clouds_per_shard=10)
        assert prepared(config, here)[0] == prepared(config, there, kind="ray")[0]
    assert len(all_files(here)) > 8
    assert all_files(here) == all_files(there)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_an_error_in_the_data_comes_back_from_ray_as_it_was_raised(tmp_path: Path, store: Storage) -> None:
    clouds = some_clouds(9, 9, 9)
    clouds["table_0001"][2, 2] = np.nan
    config = write_release(tmp_path / "release", clouds)
    errors = []
    for kind in ("local", "ray"):
        with pytest.raises(DataError, match=r"table_0001\.txt") as caught:
            prepared(config, store, kind)
        errors.append(caught.value)
    assert errors[0].args == errors[1].args
    assert store.folders("datasets") == []
