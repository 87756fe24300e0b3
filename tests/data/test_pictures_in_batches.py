"""Pictures and captions reach batches, the same for a sample whatever else is in its batch."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pictured
from conftest import SHAPES
from pictured import pictured_cloud, publish_pictured
from pointlab.config import validate
from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.batches import Recipe, evaluation_arrays, to_batch, training_arrays, view_batches
from pointlab.data.cache import CachedSplit, open_split
from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.captions import NO_CAPTION, caption_hash
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.filling import write_split
from pointlab.data.pictures import decode_colour
from pointlab.data.sample import Cloud
from pointlab.data.shards import PreparedCloud, decode_attached, decode_shard, encode_shard
from pointlab.errors import DataError
from pointlab.experiment.prepared_data import open_data
from pointlab.storage import Storage, open_storage, publish
from pointlab.teachers.pictures import require_pictures

BOTH = ("pictures", "captions")
STILL = AugmentationConfig(scale=(1, 1), translation=0)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, dict[int, Cloud]]:
    """A store that holds the pictured set, and the clouds of the set."""
    storage = open_storage(str(tmp_path_factory.mktemp("seen")))
    return storage, publish_pictured(storage)


@pytest.fixture
def split(seen: tuple[Storage, dict[int, Cloud]]) -> CachedSplit:
    return open_split(seen[0], pictured.NAME, "train")


def pictures_of(cloud: Cloud) -> list[np.ndarray]:
    return [decode_colour(view.colour.content) for view in cloud.views if view.colour is not None]


def test_evaluation_shows_the_first_picture_and_the_caption_of_every_cloud(
    seen: tuple[Storage, dict[int, Cloud]], split: CachedSplit
) -> None:
    batch = to_batch(
        evaluation_arrays(split, np.arange(len(split)), 200, BOTH)
    )  # padded: more than there are
    clouds, texts = seen[1], split.caption_texts
    assert batch.pictures is not None
    assert batch.captions is not None
    assert batch.pictures.dtype == torch.uint8
    for row, identity in enumerate(batch.ids.tolist()):
        np.testing.assert_array_equal(batch.pictures[row], pictures_of(clouds[identity])[0])
        assert texts[int(batch.captions[row])] == clouds[identity].caption


def test_training_draws_a_picture_by_seed_epoch_and_sample(
    seen: tuple[Storage, dict[int, Cloud]], split: CachedSplit
) -> None:
    recipe = Recipe(3, 40, STILL, BOTH)
    several_epochs = np.arange(6 * len(split))
    arrays, clouds = training_arrays(split, several_epochs, recipe), seen[1]
    numbers = []
    for identity, shown in zip(arrays["ids"], arrays["pictures"], strict=True):
        numbers.append([np.array_equal(shown, one) for one in pictures_of(clouds[identity])].index(True))
    assert 0.35 < np.mean(numbers) < 0.65
    for position in (0, 50, len(several_epochs) - 1):
        alone = training_arrays(split, several_epochs[[position]], recipe)
        np.testing.assert_array_equal(alone["pictures"][0], arrays["pictures"][position])
    other = training_arrays(split, several_epochs, replace(recipe, seed=4))
    assert np.mean((other["pictures"] == arrays["pictures"]).all((1, 2, 3))) < 0.9


def test_the_points_of_a_sample_are_the_same_with_its_pictures_as_without(split: CachedSplit) -> None:
    recipe = Recipe(3, 40, AugmentationConfig(rotation="full", crop=(0.5, 0.9)), ("normals",), num_views=2)
    bare = training_arrays(split, np.arange(9), recipe)
    full = training_arrays(split, np.arange(9), replace(recipe, inputs=("normals", *BOTH)))
    assert full.keys() - bare.keys() == {*BOTH, "picture_numbers"}
    for name, values in bare.items():
        np.testing.assert_array_equal(values, full[name])


def test_the_number_of_a_picture_is_that_of_the_picture_that_would_be_shown(split: CachedSplit) -> None:
    several_epochs = np.arange(3 * len(split))
    shown = training_arrays(split, several_epochs, Recipe(3, 40, STILL, ("pictures",)))
    told = training_arrays(split, several_epochs, Recipe(3, 40, STILL, ("picture_numbers",)))
    assert "pictures" not in told
    np.testing.assert_array_equal(told["picture_numbers"], shown["picture_numbers"])
    np.testing.assert_array_equal(split.decoded(told["picture_numbers"]), shown["pictures"])
    firsts = evaluation_arrays(split, np.arange(len(split)), 40, ("picture_numbers",))["picture_numbers"]
    assert firsts.tolist() == list(range(0, split.num_pictures, 2))


def test_numbers_of_pictures_are_counted_through_the_splits_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    store = open_storage(str(tmp_path / "store"))
    clouds = {"train": [pictured_cloud(0, 8), pictured_cloud(1, 8, 8)], "test": [pictured_cloud(2, 8)]}
    shards = {f"{split}-00000-of-00001.parquet": encode_shard(part, 64) for split, part in clouds.items()}
    publish(store, "datasets/split-set", "dataset", shards, {})
    test = open_split(store, "split-set", "test")  # the first to be opened: train is decoded for it
    assert (test.first_picture, test.num_pictures) == (3, 1)
    arrays = evaluation_arrays(test, np.arange(1), 2, ("pictures",))
    assert arrays["picture_numbers"].tolist() == [3]
    np.testing.assert_array_equal(arrays["pictures"], pictures_of(clouds["test"][0].cloud))
    with pytest.raises(AssertionError, match="of this split"):
        test.decoded(np.array([2]))


def test_pictures_travel_with_the_first_view_alone(split: CachedSplit) -> None:
    recipe = Recipe(3, 40, STILL, BOTH, num_views=2)
    trained = to_batch(training_arrays(split, np.arange(4), recipe))
    validated = next(view_batches(split, 4, recipe))
    for batch in (trained, validated):
        (second,) = batch.views
        assert batch.pictures is not None
        assert batch.captions is not None
        assert second.pictures is None
        assert second.picture_numbers is None
        assert second.captions is None
    np.testing.assert_array_equal(
        validated.pictures, evaluation_arrays(split, np.arange(4), 40, BOTH)["pictures"]
    )


def test_a_split_that_an_older_version_cached_is_filled_again(
    seen: tuple[Storage, dict[int, Cloud]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    held = open_split(seen[0], pictured.NAME, "train")
    before = held.per_point["points"].copy()
    for name in ("pictures", "captions"):
        shutil.rmtree(held.folder / name)
    (held.folder / "layout").unlink()
    again = open_split(seen[0], pictured.NAME, "train")
    assert again.decoded(np.arange(3)).shape == (3, 8, 8, 3)
    assert len(again.caption_texts) == pictured.NUM_CLOUDS // 2
    assert [path.name for path in again.folder.parent.iterdir()] == ["train"]
    np.testing.assert_array_equal(held.per_point["points"], before)  # mapped, although its files are gone


def test_pictures_and_captions_outlive_their_files_like_the_points(
    seen: tuple[Storage, dict[int, Cloud]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path))
    held = open_split(seen[0], pictured.NAME, "train")
    shutil.rmtree(tmp_path / pictured.NAME)  # as another process does that needs the room
    arrays = evaluation_arrays(held, np.arange(2), 40, BOTH)
    assert arrays["pictures"].shape == (2, 8, 8, 3)
    assert all(int(caption) in held.caption_texts for caption in arrays["captions"])


def cached(folder: Path, *clouds: PreparedCloud) -> CachedSplit:
    """A cached split of these clouds, in two shards."""
    folder.mkdir()
    half = len(clouds) // 2
    shards = [encode_shard(part, 64) for part in (clouds[:half], clouds[half:])]
    write_split(folder, ((decode_shard(shard), decode_attached(shard)) for shard in shards))
    return CachedSplit(folder)


def test_clouds_without_views_and_captions_leave_nothing_but_arrays(tmp_path: Path) -> None:
    split = cached(tmp_path / "train", pictured_cloud(0), pictured_cloud(1))
    assert all(path.suffix == ".npy" for path in split.folder.iterdir())
    assert split.caption_texts == {}
    assert split.num_pictures == 0


@pytest.mark.parametrize(("bare", "full"), [("validation", "train"), ("train", "test")])
def test_a_split_without_any_picture_and_caption_lacks_them_like_a_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: str, full: str
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    store = open_storage(str(tmp_path / "store"))
    clouds = {bare: [pictured_cloud(0), pictured_cloud(1)], full: [pictured_cloud(2, 8, caption="a cup")]}
    shards = {f"{split}-00000-of-00001.parquet": encode_shard(part, 64) for split, part in clouds.items()}
    publish(store, "datasets/half-seen", "dataset", shards, {})
    split = open_split(store, "half-seen", bare)
    arrays = training_arrays(split, np.arange(2), Recipe(3, 40, STILL, BOTH))
    assert arrays["picture_numbers"].tolist() == [NO_PICTURE] * 2
    assert arrays["captions"].tolist() == [NO_CAPTION] * 2
    assert (arrays["pictures"].shape, arrays["pictures"].any()) == ((2, 8, 8, 3), False)
    shown = evaluation_arrays(open_split(store, "half-seen", full), np.arange(1), 2, BOTH)
    assert shown["picture_numbers"].tolist() == [0]


def test_a_cloud_without_a_picture_has_a_black_one_and_no_number(tmp_path: Path) -> None:
    clouds = (pictured_cloud(number, *[8] * number) for number in range(4))
    split = cached(tmp_path / "train", *clouds)
    arrays = evaluation_arrays(split, np.array([2, 0, 3]), 2, ("pictures",))
    assert arrays["picture_numbers"].tolist() == [1, NO_PICTURE, 3]
    assert arrays["pictures"].any((1, 2, 3)).tolist() == [True, False, True]
    drawn = training_arrays(split, np.arange(40), Recipe(0, 2, STILL, ("picture_numbers",)))
    assert ((drawn["picture_numbers"] == NO_PICTURE) == (drawn["ids"] == 1000)).all()
    alone = evaluation_arrays(split, np.array([0]), 2, ("pictures",))["pictures"]
    assert (alone.shape, alone.any()) == ((1, 8, 8, 3), False)  # as large as the others of the split


def test_a_network_that_needs_all_pictures_names_a_cloud_that_has_none(tmp_path: Path) -> None:
    split = cached(tmp_path / "train", pictured_cloud(0), pictured_cloud(1, 8))
    with pytest.raises(DataError, match="1 of 2 clouds of a batch have no picture, such as 1000"):
        require_pictures(to_batch(evaluation_arrays(split, np.arange(2), 2, ("pictures",))))
    assert require_pictures(to_batch(evaluation_arrays(split, np.array([1]), 2, ("pictures",)))).any()


def test_pictures_that_differ_in_size_are_named(tmp_path: Path) -> None:
    split = cached(
        tmp_path / "train", *(pictured_cloud(number, size) for number, size in enumerate((8, 8, 8, 12)))
    )
    with pytest.raises(DataError, match="cloud 1002 has 8 x 8 pixels, cloud 1003 has 12 x 12") as caught:
        evaluation_arrays(split, np.arange(2, 4), 2, ("pictures",))
    assert "one size" in caught.value.remedy


def test_a_cloud_without_a_caption_has_none_beside_others(tmp_path: Path) -> None:
    split = cached(
        tmp_path / "train",
        *(pictured_cloud(number, caption=text) for number, text in enumerate((None, "a chair", "", None))),
    )
    captions = evaluation_arrays(split, np.arange(4), 2, ("captions",))["captions"]
    assert captions.tolist() == [NO_CAPTION, caption_hash("a chair"), NO_CAPTION, NO_CAPTION]
    assert split.caption_texts == {caption_hash("a chair"): "a chair"}


def test_a_paradigm_is_given_the_captions_of_training_and_validation(storage: Storage) -> None:
    data = open_data(storage, prepared(storage), 40)
    wanted = {name: data.split(name).caption_texts for name in ("train", "validation")}
    assert data.given().captions() == wanted["train"] | wanted["validation"]
    assert wanted["validation"].keys() - wanted["train"].keys()


def prepared(storage: Storage) -> str:
    """The name of the prepared shapes, which have captions and no pictures."""
    name = find_prepared(validate(DatasetConfig, SHAPES, "test"), storage)
    assert name is not None
    return name


def test_a_set_without_views_says_so_by_name(storage: Storage) -> None:
    name = prepared(storage)
    with pytest.raises(DataError, match=f"No cloud of {name} has pictures") as caught:
        training_arrays(open_split(storage, name, "train"), np.arange(2), Recipe(0, 40, STILL, ("pictures",)))
    assert "num_views" in caught.value.remedy
