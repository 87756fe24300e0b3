"""The pixels of points reach batches exactly: through every change of points and of pictures, for any batch.

The colour of each point names the pixel at which it was measured, and so does each pixel's in the picture.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analytic_scene import CAMERA, frame_cloud, named_pixels, publish_clouds
from pictured import pictured_cloud
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import (
    Recipe,
    evaluation_arrays,
    evaluation_batches,
    to_batch,
    training_arrays,
    view_batches,
)
from pointlab.data.builtin import Rooms, Shapes
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.cached_pixels import PIXELS
from pointlab.data.correspondence import UNSEEN
from pointlab.data.filling import write_split
from pointlab.data.picture_crops import PictureCropConfig
from pointlab.data.sample import PointBatch
from pointlab.data.shards import decode_attached, decode_shard, encode_shard
from pointlab.data.source import Source
from pointlab.errors import DataError
from pointlab.geometry.voxels import voxelise
from pointlab.storage import Storage, open_storage

INPUTS = ("pixels", "colours", "rows")
CHANGES = {
    "turned": AugmentationConfig(rotation="full", jitter=0.02),
    "one side": AugmentationConfig(crop=(0.4, 0.7)),
    "mirrored and bent": AugmentationConfig(flip=True, elastic=((0.5, 0.4),), scale_jointly=True),
    "a window without a box": AugmentationConfig(window=2.0, cuboid_drop=0.5),
    "as stored": AugmentationConfig(scale=(1, 1), translation=0, random_subset=False),
}
STORED = CHANGES["as stored"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A store with the set `seen`: clouds of a frame each, and one without a view."""
    storage = open_storage(str(tmp_path_factory.mktemp("store")))
    bare = frame_cloud(4)
    clouds = [
        *(frame_cloud(number) for number in range(4)),
        replace(bare, cloud=replace(bare.cloud, views=())),
    ]
    publish_clouds(storage, "seen", train=clouds, validation=[pictured_cloud(9)])
    return storage


@pytest.fixture
def split(store: Storage) -> CachedSplit:
    return open_split(store, "seen", "train")


def measured_at(colours: torch.Tensor) -> np.ndarray:
    """The pixels that stored colours name."""
    return named_pixels(colours.numpy() * 255)


def is_seen(batch: PointBatch) -> np.ndarray:
    assert batch.pixels is not None
    found: np.ndarray = (batch.pixels[..., 0] >= -0.5).numpy()
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_a_point_keeps_its_pixel_however_points_are_changed(split: CachedSplit, change: str) -> None:
    recipe = Recipe(3, 400, CHANGES[change], INPUTS, num_views=2)
    batch = to_batch(training_arrays(split, np.arange(2 * len(split)), recipe))
    assert batch.picture_numbers is not None
    assert batch.pictures is None
    has_picture = (batch.picture_numbers != NO_PICTURE).numpy()
    assert has_picture.sum() == 8
    for view in (batch, *batch.views):
        assert view.pixels is not None
        assert view.colours is not None
        is_real = (torch.arange(400) < view.counts[:, None]).numpy()
        np.testing.assert_array_equal(is_seen(view), is_real & has_picture[:, None])
        np.testing.assert_allclose(
            view.pixels[is_seen(view)], measured_at(view.colours)[is_seen(view)], atol=1e-3
        )
        assert (view.pixels[~is_seen(view)] == UNSEEN).all()


def test_a_pixel_of_a_cut_and_mirrored_picture_shows_its_point(split: CachedSplit) -> None:
    crops = PictureCropConfig(size=(72, 96), area=(0.4, 0.9))
    recipe = Recipe(3, 300, CHANGES["turned"], ("pixels", "pictures", "colours"), pictures=crops)
    batch = to_batch(training_arrays(split, np.arange(2 * len(split)), recipe))
    assert batch.pictures is not None
    assert batch.pixels is not None
    assert batch.colours is not None
    assert batch.pictures.shape[1:] == (72, 96, 3)
    clouds, points = np.nonzero(is_seen(batch))
    assert 0.3 < len(points) / (8 * 300) < 0.95
    columns, rows = batch.pixels[clouds, points].round().long().numpy().T
    columns, rows = columns.clip(0, 95), rows.clip(0, 71)
    shown = named_pixels(batch.pictures[clouds, rows, columns].double().numpy())
    error = shown - measured_at(batch.colours)[clouds, points]
    assert np.abs(error).max() < 0.8  # half a pixel of one of both, where borders repeat
    assert np.abs(error.mean(0)).max() < 0.03


def test_validation_sees_whole_pictures_of_the_size_that_was_asked_for(split: CachedSplit) -> None:
    crops = PictureCropConfig(size=(CAMERA.height * 2, CAMERA.width * 2), area=(0.2, 0.3))
    inputs = ("pixels", "pictures", "colours")
    (batch,) = evaluation_batches(split, 8, 700, inputs, crops)
    assert batch.pictures is not None
    assert batch.pixels is not None
    assert batch.colours is not None
    assert batch.pictures.shape[1:3] == crops.size
    assert is_seen(batch).sum() == 4 * 600
    wanted = (measured_at(batch.colours) + 0.5) * 2 - 0.5
    np.testing.assert_allclose(batch.pixels[is_seen(batch)], wanted[is_seen(batch)], atol=2e-3)
    (viewed,) = view_batches(split, 8, Recipe(3, 700, STORED, inputs, 2, pictures=crops))
    assert viewed.pixels is not None
    assert viewed.views[0].pixels is not None
    assert torch.equal(viewed.pixels, batch.pixels)
    assert torch.equal(viewed.views[0].pixels, batch.pixels)


def test_voxels_keep_the_pixels_of_the_points_in_them(split: CachedSplit) -> None:
    recipe = Recipe(3, 300, CHANGES["mirrored and bent"], ("pixels", "colours"))
    batch = to_batch(training_arrays(split, np.arange(len(split)), recipe))
    assert batch.pixels is not None
    assert batch.colours is not None
    voxels, owners = voxelise(batch.points, batch.counts, 0.2)
    clouds, points = np.nonzero(is_seen(batch))
    held = owners[clouds, points]
    measured = torch.from_numpy(measured_at(batch.colours)[clouds, points])
    said = torch.zeros(len(voxels), 2).index_put_((held,), measured)
    is_alone = (held.bincount(minlength=len(voxels)) == 1)[held]
    assert is_alone.sum() > 100
    np.testing.assert_allclose(said[held[is_alone]], batch.pixels[clouds, points][is_alone], atol=1e-3)


def test_a_sample_has_the_same_pixels_and_crop_whatever_its_batch(split: CachedSplit) -> None:
    crops = PictureCropConfig(size=(20, 20))
    recipe = Recipe(3, 200, CHANGES["turned"], ("pixels", "pictures"), pictures=crops)
    together = training_arrays(split, np.arange(15), recipe)
    for position in (0, 7, 14):
        alone = training_arrays(split, np.array([position]), recipe)
        for name in ("pixels", "pictures", "picture_numbers"):
            np.testing.assert_array_equal(alone[name][0], together[name][position])
    assert "rows" not in together
    other = training_arrays(split, np.arange(15), replace(recipe, seed=4))
    assert not np.array_equal(other["pixels"], together["pixels"])


def test_points_are_the_same_with_pixels_as_without(split: CachedSplit) -> None:
    bare = Recipe(3, 200, CHANGES["one side"])
    full = replace(bare, inputs=("pixels",), pictures=PictureCropConfig())
    arrays = training_arrays(split, np.arange(5), bare)
    with_pixels = training_arrays(split, np.arange(5), full)
    assert with_pixels.keys() - arrays.keys() == {"pixels", "picture_numbers"}
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, with_pixels[name])


def test_pixels_are_computed_once_and_counted(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    split = open_split(store, "seen", "train")
    assert not (split.folder / PIXELS).exists()  # only where somebody asks
    counts = split.pixel_counts
    assert (counts["pictures"], counts["cameras"], counts["seen"], counts["hidden"]) == (4, 4, 2400, 0)
    assert json.loads((split.folder / PIXELS / "counts.json").read_text()) == counts
    assert [path.name for path in split.folder.parent.iterdir()] == ["train"]

    def unread() -> Iterator[bytes]:
        raise AssertionError("the shards are read once more")

    again = CachedSplit(split.folder, read_shards=unread)
    arrays = evaluation_arrays(again, np.arange(1), 600, ("pixels",))
    np.testing.assert_array_equal(arrays["pixels"].round()[0, :600].min(0), [0, 0])
    (split.folder / PIXELS / "layout").write_text("0")  # of an older version
    assert open_split(store, "seen", "train").pixel_counts == counts
    assert (split.folder / PIXELS / "layout").read_text() != "0"


def test_of_several_who_need_the_same_pixels_one_computes_them(store: Storage, tmp_path: Path) -> None:
    folder = shutil.copytree(
        open_split(store, "seen", "train").folder, tmp_path / "seen" / "train", ignore=lambda *_: (PIXELS,)
    )
    shard, num_reads = encode_shard([frame_cloud(number) for number in range(5)], None), []

    def read() -> list[bytes]:
        num_reads.append(1)
        return [shard]

    with ThreadPoolExecutor(4) as several:
        splits = [CachedSplit(folder, read_shards=read) for _ in range(4)]
        counts = list(several.map(lambda split: split.pixel_counts, splits))
    assert len(num_reads) == 1
    assert all(one == counts[0] for one in counts)


def test_a_split_without_a_picture_has_no_pixels_beside_one_that_has(store: Storage) -> None:
    validation = open_split(store, "seen", "validation")
    arrays = evaluation_arrays(validation, np.arange(1), 10, ("pixels",), PictureCropConfig())
    assert (arrays["pixels"] == UNSEEN).all()
    assert arrays["picture_numbers"].tolist() == [NO_PICTURE]


def cached(folder: Path, *contents: bytes) -> CachedSplit:
    """A cached split of these shards."""
    folder.mkdir(parents=True)
    write_split(folder, ((decode_shard(shard), decode_attached(shard)) for shard in contents))
    return CachedSplit(folder, read_shards=lambda: contents)


def test_a_set_in_which_no_camera_is_known_says_so(tmp_path: Path) -> None:
    known = frame_cloud(0)
    (view,) = known.cloud.views
    assert view.colour is not None
    lost = replace(view, colour=replace(view.colour, pose=np.full((4, 4), np.nan)))
    shard = encode_shard([replace(known, cloud=replace(known.cloud, views=(lost,)))], None)
    with pytest.raises(DataError, match="No cloud of unposed has a picture whose camera is known") as caught:
        evaluation_arrays(cached(tmp_path / "unposed" / "train", shard), np.arange(1), 10, ("pixels",))
    assert "built-in rooms" in caught.value.remedy


def test_clouds_that_no_known_camera_shows_have_no_pixel_beside_one_that_has(tmp_path: Path) -> None:
    seen, lost, blind, bare = (frame_cloud(number) for number in range(4))
    (view,) = lost.cloud.views
    assert view.colour is not None
    unposed = replace(view, colour=replace(view.colour, pose=np.full((4, 4), np.nan)))
    others = [(lost, (unposed,)), (blind, (replace(view, colour=None),)), (bare, ())]
    clouds = [seen, *(replace(one, cloud=replace(one.cloud, views=views)) for one, views in others)]
    split = cached(tmp_path / "partly" / "train", encode_shard(clouds, None))
    arrays = evaluation_arrays(split, np.arange(4), 600, ("pixels", "pictures"))
    assert arrays["picture_numbers"].tolist() == [0, 1, NO_PICTURE, NO_PICTURE]
    assert (arrays["pixels"][0] != UNSEEN).all()
    assert (arrays["pixels"][1:] == UNSEEN).all()


def test_a_picture_of_another_size_than_its_camera_is_named(tmp_path: Path) -> None:
    known = frame_cloud(0)
    (view,) = known.cloud.views
    assert view.colour is not None
    wrong = replace(view, colour=replace(view.colour, camera=CAMERA.resized(96, 72)))
    shard = encode_shard([replace(known, cloud=replace(known.cloud, views=(wrong,)))], None)
    split = cached(tmp_path / "set" / "train", shard)
    with pytest.raises(DataError, match="cloud 100 has 48 x 36 pixels, and its camera 96 x 72"):
        split.require_pixels()
    assert not (split.folder / PIXELS).exists()


def test_pictures_may_differ_in_size_where_a_batch_has_one(tmp_path: Path) -> None:
    shard = encode_shard([pictured_cloud(0, 8), pictured_cloud(1, 12)], None)
    split = cached(tmp_path / "mixed" / "train", shard)
    arrays = evaluation_arrays(split, np.arange(2), 8, ("pictures",), PictureCropConfig(size=(6, 10)))
    assert arrays["pictures"].shape == (2, 6, 10, 3)
    with pytest.raises(DataError, match="differ in size"):
        evaluation_arrays(split, np.arange(2), 8, ("pictures",), PictureCropConfig())


@pytest.mark.parametrize(
    "source",
    [
        Shapes(num_points=16),
        Shapes(num_points=16, num_views=1, view_size=16),
        Rooms(num_train=1, views_per_cloud=1, image_width=32, image_height=24),
    ],
    ids=["shapes", "shapes-with-views", "rooms"],
)
def test_a_source_knows_cameras_where_it_says_so(source: Source) -> None:
    (cloud,) = source.read(None, source.index(None).rows[:1])
    is_known = any(view.colour is not None and view.colour.has_camera for view in cloud.views)
    assert source.gives_cameras is is_known
