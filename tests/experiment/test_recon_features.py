"""ReCon's targets are what its teachers say of the pictures and texts of a set, computed once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointlab.data.cache import cache_folder
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import PretrainExperiment, features
from pointlab.experiment.features import build_features
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import Resolved
from pointlab.launch import resolve
from pointlab.objectives.targets import PictureFeatures, TextFeatures, VariedPictures
from pointlab.objectives.templates import TEMPLATES, prompts_of, sentences_on
from pointlab.storage import Storage
from pointlab.teachers import ImageTeacher, cached_image_features, image_features, text_features
from tiny_recon import NAMES, NUM_TRAIN, tiny_recon, towers_of

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _few_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEMPLATES, "recon", TEMPLATES["recon"][:4])


def resolved_in(storage: Storage, **changes: Any) -> tuple[Resolved[PretrainExperiment], Data]:
    """A ReCon with these changes, its teachers finished, and its data opened."""
    found = resolve(tiny_recon(storage, **changes), storage)
    return found, open_data(storage, found.datasets["data"], 48)


def batches_of(data: Data, *inputs: str) -> Iterator[PointBatch]:
    for split in ("train", "validation"):
        yield from data.batches(split, NUM_TRAIN, inputs)()


def tables() -> dict[Path, int]:
    """The feature tables on this machine, and when each was written."""
    return {path: path.stat().st_ino for path in (cache_folder() / "features").glob("*.npy")}


def test_a_table_holds_what_the_teacher_says_of_the_picture_of_each_number(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store)
    table = build_features(found, recon_store, data, CPU)["image_teacher"]
    assert isinstance(table, PictureFeatures)
    folder, seen = towers_of(recon_store), set[int]()
    for batch in batches_of(data, "pictures", "picture_numbers"):
        assert batch.pictures is not None
        assert batch.picture_numbers is not None
        features, is_there = table(batch)
        expected = image_features(folder, list(batch.pictures.numpy())) * is_there.unsqueeze(1)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
        seen |= set(batch.picture_numbers.tolist())
    assert -1 in seen
    assert len(seen) > len(table.features) // 2  # the first of two pictures of each cloud


def test_captions_and_class_names_are_read_once_and_the_missing_ones_are_marked(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store)
    table = build_features(found, recon_store, data, CPU)["text_teacher"]
    assert isinstance(table, TextFeatures)
    texts, folder = data.captions(), towers_of(recon_store)
    for batch in batches_of(data, "captions"):
        assert batch.captions is not None
        features, is_there = table(batch)
        assert is_there.tolist() == (batch.captions >= 0).tolist()
        read = text_features(folder, [texts[number] for number in batch.captions[is_there].tolist()])
        torch.testing.assert_close(features[is_there], read, rtol=1e-4, atol=1e-5)
    before = tables()
    named, _ = resolved_in(recon_store, paradigm={"text": "class_names", "templates": "recon"})
    table = build_features(named, recon_store, data, CPU)["text_teacher"].eval()
    assert len(tables().keys() - before.keys()) == 1
    prompts = torch.stack([text_features(folder, prompts_of(name)[:1])[0] for name in NAMES])
    for batch in batches_of(data):
        assert batch.labels is not None
        features, is_there = table(batch)
        assert is_there.tolist() == (batch.labels >= 0).tolist()
        torch.testing.assert_close(features[is_there], prompts[batch.labels[is_there]], rtol=1e-4, atol=1e-5)
    build_features(found, recon_store, data, CPU)
    assert {path: written for path, written in tables().items() if path in before} == before


def test_a_sentence_around_each_caption_is_what_the_paper_says_of_a_cloud(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store, paradigm={"templates": "recon"})
    table = build_features(found, recon_store, data, CPU)["text_teacher"]
    assert table.inputs == ("captions",)
    batch, texts = next(batches_of(data, "captions")), data.captions()
    assert batch.captions is not None
    row = int((batch.captions >= 0).nonzero()[0])
    may_be = text_features(towers_of(recon_store), sentences_on(texts[int(batch.captions[row])], "recon"))
    drawn = torch.stack([table(batch)[0][row] for _ in range(8)])
    nearest = (drawn.unsqueeze(1) - may_be).norm(dim=2).min(1)
    assert nearest.values.max() < 1e-4
    assert len(nearest.indices.unique()) > 1


def test_more_sentences_than_fit_into_memory_are_refused(
    recon_store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, data = resolved_in(recon_store, paradigm={"templates": "recon"})
    monkeypatch.setattr(features, "MOST_SENTENCES", 4 * len(data.captions()) - 1)
    with pytest.raises(DataError, match=r"sentences of\. Expected: at most .*templates to plain"):
        build_features(found, recon_store, data, CPU)


def test_where_pictures_are_varied_the_teacher_itself_is_there(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store, paradigm={"image_augmentation": {"shift": 1}})
    targets = build_features(found, recon_store, data, CPU)["image_teacher"]
    assert isinstance(targets, VariedPictures)
    assert isinstance(targets.network, ImageTeacher)
    assert not any(parameter.requires_grad for parameter in targets.parameters())
    assert "at every step" in found.experiment.notes["image features"]
    far, _ = resolved_in(recon_store, paradigm={"image_augmentation": {"shift": 16}})
    with pytest.raises(ConfigError, match=r"shift is 16, and the pictures of .* have 16 pixels"):
        build_features(far, recon_store, data, CPU)


def test_other_weights_or_another_preparation_say_something_else_of_one_picture(
    recon_store: Storage, tmp_path: Path
) -> None:
    folders = [towers_of(recon_store)]
    folders += [shutil.copytree(folders[0], tmp_path / name) for name in ("prepared", "trained")]
    preparation = folders[1] / "preprocessor_config.json"
    preparation.write_text(preparation.read_text().replace("0.5", "0.25"))
    weights = load_file(folders[2] / "model.safetensors")
    weights["visual_projection.weight"] *= 2
    save_file(weights, folders[2] / "model.safetensors", {"format": "pt"})
    picture = np.full((1, 16, 16, 3), 99, np.uint8)
    said = [
        cached_image_features(folder, np.arange(1), lambda _: picture, "a set", CPU)[0] for folder in folders
    ]
    assert len({tuple(each.tolist()) for each in said}) == 3
