"""The maps that PPKT learns from are what its teacher says of the pictures of a set, kept or seen anew."""

from typing import Any

import pytest
import torch

from conftest import PRETRAIN
from pointlab.config import merge, validate
from pointlab.data.batches import evaluation_batches
from pointlab.errors import DataError
from pointlab.experiment import PretrainExperiment
from pointlab.experiment.pixel_maps import build_pixel_maps
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import Resolved
from pointlab.launch import resolve
from pointlab.objectives.pixels import KnownMaps, PixelMaps, SeenMaps
from pointlab.storage import Storage
from tiny_recon import NUM_TRAIN, PICTURED, TOWERS, publish_in_place_of

CPU = torch.device("cpu")


def resolved_in(storage: Storage, **paradigm: Any) -> tuple[Resolved[PretrainExperiment], Data]:
    """A PPKT with these settings, its teacher finished, and its data opened."""
    changes = {"data": PICTURED, "paradigm": {"kind": "ppkt", **paradigm}, "image_teacher": TOWERS}
    settings = merge(PRETRAIN, changes | {"storage": {"root": storage.address}})
    found = resolve(validate(PretrainExperiment, settings, "test"), storage)
    return found, open_data(storage, found.datasets["data"], 48)


def maps_in(storage: Storage, **paradigm: Any) -> PixelMaps:
    found, data = resolved_in(storage, **paradigm)
    return build_pixel_maps(found, storage, data, CPU)["image_teacher"]


def test_kept_maps_are_those_of_the_same_pictures_seen_anew(recon_store: Storage) -> None:
    """Resized to what the teacher takes, in training and in validation, with pixels that follow."""
    known = maps_in(recon_store, picture_size=[8, 24])
    seen = maps_in(recon_store, picture_size=[8, 24], picture_augmentation={})
    assert isinstance(known, KnownMaps)
    assert isinstance(seen, SeenMaps)
    found, data = resolved_in(recon_store, picture_size=[8, 24])
    crop = found.experiment.paradigm.picture_crop  # type: ignore[union-attr]
    for split in ("train", "validation"):
        (batch,) = evaluation_batches(data.split(split), NUM_TRAIN, 48, ("pixels", "pictures"), crop)
        kept, anew = known(batch), seen(batch)
        assert kept.size == anew.size == (8, 24)
        torch.testing.assert_close(kept.values, anew.values)
        assert batch.pixels is not None
        assert bool((batch.pixels[..., 0] > 16).any())  # beyond the width of the pictures as stored


def test_a_set_whose_pictures_show_no_point_is_told(recon_store: Storage) -> None:
    found, _ = resolved_in(recon_store)
    bare = publish_in_place_of(merge(PICTURED, {"name": "bare"}), recon_store, without="picture")
    data = open_data(recon_store, bare, 48)
    with pytest.raises(DataError, match="No cloud of bare-"):
        build_pixel_maps(found, recon_store, data, CPU)


def test_pixels_of_validation_alone_are_nothing_to_train_on(recon_store: Storage) -> None:
    found, _ = resolved_in(recon_store)
    settings, sizes = merge(PICTURED, {"name": "seen-later"}), {"train": (), "validation": (16,)}
    data = open_data(recon_store, publish_in_place_of(settings, recon_store, sizes=sizes), 48)
    with pytest.raises(DataError, match=r"No picture of seen-later-\S+ for training shows a point"):
        build_pixel_maps(found, recon_store, data, CPU)


@pytest.mark.parametrize("augmentation", [None, {}])
def test_pictures_of_different_sizes_are_told_wherever_they_are(
    recon_store: Storage, augmentation: dict[str, Any] | None
) -> None:
    """A batch of a table has one size, and so may each split; one size for all is the remedy."""
    mixed = merge(PICTURED, {"name": "mixed"})
    prepared = publish_in_place_of(mixed, recon_store, sizes={"validation": (16, 24)})
    data = open_data(recon_store, prepared, 48)
    found, _ = resolved_in(recon_store, picture_augmentation=augmentation)
    message = r"mixed-\S+ differ in size: some have 16 x 16 pixels, others 24 x 24.*paradigm.picture_size"
    with pytest.raises(DataError, match=message):
        build_pixel_maps(found, recon_store, data, CPU)
    found, _ = resolved_in(recon_store, picture_augmentation=augmentation, picture_size=[8, 8])
    assert build_pixel_maps(found, recon_store, data, CPU)["image_teacher"]
