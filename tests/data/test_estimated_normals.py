"""Estimated normals: from all points, the same whoever prepares, said in the manifest, true ones kept."""

from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, tiny_pretrain
from pointlab.config import merge, validate
from pointlab.data.dataset import PREPARATION_VERSION, DatasetConfig
from pointlab.data.manifest import DatasetManifest, EstimatedNormals, read_dataset
from pointlab.data.planning import make_plan
from pointlab.data.preparation import make_shard
from pointlab.data.shards import decode_clouds, decode_shard
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import LaunchConfig
from pointlab.launch import prepare, run
from pointlab.report.dataset_page import build_dataset_page
from pointlab.seeding import stable_hash
from pointlab.storage import Storage, open_storage
from pointlab.training import ignore_progress


def configured(root: Path, num_neighbours: int | None = 16, **changes: object) -> DatasetConfig:
    settings = {
        "name": "spheres",
        "source": {"kind": "folder", "up_axis": "y"},
        "root": str(root),
        "num_points": 32,
        "estimate_normals": num_neighbours,
        "clouds_per_shard": 4,
        "validation_fraction": 0.25,
        **changes,
    }
    config: DatasetConfig = validate(DatasetConfig, settings, "test")
    return config


def sphere(seed: int, num_points: int = 1000) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(num_points, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def spheres(tmp_path: Path) -> Path:
    """A folder of spheres without normals, of classes that differ in their number of points."""
    for split, seeds in (("train", range(8)), ("test", range(8, 10))):
        for class_name, num_points in (("dense", 1000), ("sparse", 700)):
            folder = tmp_path / "source" / split / class_name
            folder.mkdir(parents=True)
            for seed in seeds:
                np.save(folder / f"{seed}.npy", sphere(seed + num_points, num_points))
    return tmp_path / "source"


def prepared(config: DatasetConfig, store: Path) -> tuple[Storage, str, DatasetManifest]:
    storage = open_storage(str(store))
    name = prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)
    return storage, name, read_dataset(storage, name)


def test_normals_are_those_of_the_whole_cloud_and_the_manifest_says_that_they_are_estimated(
    spheres: Path, tmp_path: Path
) -> None:
    """32 points would not do: on a sphere their neighbourhoods are as large as itself."""
    storage, name, manifest = prepared(configured(spheres), tmp_path / "store")
    assert manifest.estimated_normals == EstimatedNormals(num_clouds=20, num_neighbours=16)
    assert "convention" in manifest.estimated_normals.sign
    file = next(file for file in storage.files(f"datasets/{name}") if file.startswith("train-"))
    for cloud in decode_clouds(storage.read(f"datasets/{name}/{file}")):
        assert cloud.cloud.normals is not None
        outward = cloud.cloud.points / np.linalg.norm(cloud.cloud.points, axis=1, keepdims=True)
        assert np.abs((outward * cloud.cloud.normals).sum(1)).min() > 0.98
        largest = np.abs(cloud.cloud.normals).argmax(1)
        assert (np.take_along_axis(cloud.cloud.normals, largest[:, None], 1) > 0).all()
    assert "estimated in 20 clouds, from 16 neighbours" in build_dataset_page(storage, name)


def test_normals_do_not_depend_on_how_the_set_is_sharded_and_checks_see_the_same_clouds(
    spheres: Path,
) -> None:
    def made(num_neighbours: int | None, size: int) -> tuple[dict[int, bytes], dict[int, bytes]]:
        config = configured(spheres, num_neighbours, clouds_per_shard=size)
        plan = make_plan(config)
        shards = [make_shard(config, plan.index, shard) for shard in plan.shards]
        records = {
            int(record["id"]): record.tobytes() for shard in shards for record in shard.examination.records
        }
        normals = {}
        for shard in shards:
            found = decode_shard(shard.content)
            for place, identity in enumerate(found.ids.tolist()):
                rows = slice(found.offsets[place], found.offsets[place + 1])
                normals[identity] = found.per_point["normals"][rows].tobytes() if num_neighbours else b""
        return normals, records

    together, apart, without = made(16, 64), made(16, 3), made(None, 64)
    assert together[0] == apart[0]
    assert len(together[0]) == 20
    assert together[1] == apart[1] == without[1]


def test_normals_of_the_source_stay_as_they_are() -> None:
    plain: DatasetConfig = validate(DatasetConfig, SHAPES, "test")
    wanted: DatasetConfig = validate(DatasetConfig, merge(SHAPES, {"estimate_normals": 16}), "test")
    plan = make_plan(plain)
    shards = [make_shard(config, plan.index, plan.shards[-1]) for config in (plain, wanted)]
    assert shards[0].content == shards[1].content
    assert shards[1].num_estimated == 0


def test_a_small_cloud_uses_all_its_points_and_one_of_two_is_unusable(tmp_path: Path) -> None:
    folder = tmp_path / "source" / "train" / "flat"
    folder.mkdir(parents=True)
    flat = sphere(0, 5) * np.float32([1, 1, 0])
    np.save(folder / "five.npy", flat)
    config = configured(tmp_path / "source", validation_fraction=0)
    plan = make_plan(config)
    (normals,) = decode_shard(make_shard(config, plan.index, plan.shards[0]).content).per_point["normals"][
        None
    ]
    np.testing.assert_allclose(normals, np.tile([0, 0, 1], (5, 1)), atol=1e-6)

    np.save(folder / "two.npy", flat[:2])
    plan = make_plan(config)
    with pytest.raises(DataError, match=r"two\.npy .* too few points to estimate normals from \(2\)"):
        make_shard(config, plan.index, plan.shards[0])
    tolerant = configured(tmp_path / "source", validation_fraction=0, bad_clouds="drop")
    made = make_shard(tolerant, plan.index, plan.shards[0])
    assert dict(made.dropped) == {"has too few points to estimate normals from": 1}
    assert (len(made.kept), made.num_estimated) == (1, 1)


def test_a_set_without_estimated_normals_keeps_its_name(spheres: Path) -> None:
    """Its settings hash to what they hashed to before there was this one."""
    without = configured(spheres, None)
    added_later = {
        **dict.fromkeys(("estimate_normals", "origin", "licence"), True),
        "source": {"columns_of_csv": {"picture"}},
    }
    settings = without.model_dump_json(exclude={"root": True, **added_later})
    assert without.recipe() == stable_hash(PREPARATION_VERSION, without.source.version, settings)
    assert len({without.recipe(), configured(spheres, 16).recipe(), configured(spheres, 8).recipe()}) == 3


@pytest.mark.parametrize("num_neighbours", [2, 0, -1])
def test_fewer_than_three_neighbours_are_refused(spheres: Path, num_neighbours: int) -> None:
    with pytest.raises(ConfigError, match="estimate_normals"):
        configured(spheres, num_neighbours)


def test_geometric_pretraining_says_how_to_get_normals_and_takes_no_estimated_ones_as_oriented(
    spheres: Path, tmp_path: Path
) -> None:
    storage = open_storage(str(tmp_path / "store"))
    data = configured(spheres, None, num_points=48).model_dump()
    changes = {"paradigm": {"kind": "geometric"}, "training": {"epochs": 1, "batch_size": 4}}
    with pytest.raises(DataError, match=r"no normals.*data\.estimate_normals"):
        run(tiny_pretrain(storage, data=data, **changes))
    data["estimate_normals"] = 16
    changes["paradigm"] = {"kind": "geometric", "orientation": "oriented"}
    with pytest.raises(ConfigError, match="sign is a convention"):
        run(tiny_pretrain(storage, data=data, **changes))


def test_orientation_is_a_matter_of_the_normals_and_not_of_the_setting(storage: Storage) -> None:
    """These clouds have normals of their own, so that none is estimated where that is asked for."""
    changes = {"paradigm": {"kind": "geometric", "orientation": "oriented"}, "training": {"epochs": 0.5}}
    assert run(tiny_pretrain(storage, data={"estimate_normals": 16}, **changes)).record is not None
