"""A folder is read by the kind whose layout it has, and the settings that come of it can be run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from pointlab.config import validate
from pointlab.data.catalogue import CATALOGUE
from pointlab.data.dataset import DatasetConfig
from pointlab.data.detection import detect, kind_of, source_kinds
from pointlab.data.formats import Folder, ModelNetH5
from pointlab.errors import DataError


def write_modelnet_h5(folder: Path) -> Path:
    folder.mkdir(parents=True)
    points = np.random.default_rng(0).normal(size=(2, 80, 3)).astype(np.float32)
    for part in ("train", "test"):
        with h5py.File(folder / f"{part}.h5", "w") as file:
            file.create_dataset("data", data=points)
            file.create_dataset("label", data=np.array([0, 1]))
        (folder / f"{part}_files.txt").write_text(f"{part}.h5")
    (folder / "shape_names.txt").write_text("chair\ntable")
    return folder


def write_recording(root: Path) -> None:
    """One frame in the layout of 7-Scenes; its pictures are not looked at by names and poses."""
    (root / "seq-01").mkdir()
    for part, content in (
        ("color.png", ""),
        ("depth.png", ""),
        ("pose.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"),
    ):
        (root / f"seq-01/frame-000000.{part}").write_text(content)


@pytest.mark.parametrize("above", [".", "one", "one/two"])
def test_a_layout_is_found_at_the_top_or_up_to_two_folders_below(above: str, tmp_path: Path) -> None:
    folder = write_modelnet_h5(tmp_path / "data" / above / "set")
    (fit,) = detect(tmp_path / "data" / (above if above != "." else "set"))
    assert fit.folder == folder
    assert fit.kind == "modelnet_h5"
    assert len(fit.index.rows) == 4


def test_the_settings_prepare_the_same_rows(tmp_path: Path) -> None:
    (fit,) = detect(write_modelnet_h5(tmp_path / "set"))
    settings = fit.settings("mine", {"num_points": 2048, "sampling": "random"})
    config = validate(DatasetConfig, settings["data"], "test")
    assert isinstance(config.source, ModelNetH5)
    assert config.source.index(config.root_path) == fit.index
    assert config.num_points == 80, "no more than there are"
    assert config.sampling == "random"


def test_pictures_and_captions_beside_listed_clouds_are_proposed_and_as_many_points_as_there_are(
    tmp_path: Path,
) -> None:
    names = [f"02691156-{model}" for model in "abcd"]
    for folder in ("ShapeNet-55", "shapenet_pc", "photos"):
        (tmp_path / folder).mkdir()
    for name in names:
        np.save(tmp_path / f"shapenet_pc/{name}.npy", np.zeros((70, 3), np.float32))
        Image.new("RGB", (4, 4)).save(tmp_path / f"photos/{name}.jpg")
    for split, part in (("train", names[:3]), ("test", names[3:])):
        (tmp_path / f"ShapeNet-55/{split}.txt").write_text("\n".join(f"{name}.npy" for name in part))
    (tmp_path / "texts.json").write_text(json.dumps({names[0]: "a glider"}))
    (tmp_path / "other.json").write_text("{}")
    (fit,) = detect(tmp_path)
    data = fit.settings("mine", {})["data"]
    assert data["source"] == {
        "kind": "shapenet55",
        "pictures": "photos/{synset}-{model}.jpg",
        "captions": "texts.json",
    }
    assert data["num_points"] == 70
    own = fit.source.model_copy(update={"licence": "CC0"}).index(tmp_path).card
    assert (own.licence, own.terms, own.citation) == ("CC0", "", "")
    assert fit.index.card.licence == "ShapeNet terms of use"


def test_any_folder_is_asked_for_only_where_no_published_layout_fits(tmp_path: Path) -> None:
    write_modelnet_h5(tmp_path / "data/published")
    np.save(tmp_path / "data/one.npy", np.zeros((5, 3), np.float32))
    assert [fit.kind for fit in detect(tmp_path / "data")] == ["modelnet_h5"]


def test_a_setting_that_no_name_tells_is_said_to_be_a_guess(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "chair").mkdir(parents=True)
        np.save(tmp_path / split / "chair/a.npy", np.zeros((5, 3), np.float32))
    (fit,) = detect(tmp_path)
    assert fit.kind == "folder"
    assert list(fit.guessed) == ["up_axis"]


def test_a_recording_without_a_calibration_is_found_with_the_usual_camera_as_a_guess(tmp_path: Path) -> None:
    write_recording(tmp_path)
    (fit,) = detect(tmp_path)
    assert fit.kind == "rgbd_frames"
    assert list(fit.guessed) == ["intrinsics"]
    assert fit.settings("mine", {})["data"]["source"]["intrinsics"] == [585, 585, 320, 240]
    (tmp_path / "seq-01/camera-intrinsics.txt").write_text("500 0 2\n0 500 2\n0 0 1\n")
    (fit,) = detect(tmp_path)
    assert not fit.guessed
    assert "intrinsics" not in fit.settings("mine", {})["data"]["source"]


def test_a_folder_that_nothing_reads_is_named_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "letter.doc").write_text("dear")
    with pytest.raises(DataError, match=r"holds letter\.doc.*modelnet_h5"):
        detect(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        detect(tmp_path / "gone")


def test_every_kind_on_a_card_exists_and_every_kind_but_the_general_ones_is_on_a_card() -> None:
    on_cards = {kind for card in CATALOGUE.values() for kind in card.kinds}
    kinds = {kind_of(source) for source in source_kinds()}
    assert on_cards <= kinds
    assert kinds - on_cards == {"folder", "npz"}


@pytest.mark.parametrize("card", CATALOGUE.values(), ids=lambda card: card.name)
def test_a_card_with_terms_or_a_citation_says_them_at_the_first_use(card) -> None:
    notice = card.notice()
    assert bool(notice) == bool(card.terms or card.citation)
    for text in (card.terms, card.citation):
        assert text in notice
    if notice:  # the layout alone does not prove it
        assert notice.startswith(f"If this is {card.title}\n")


def test_a_table_beside_the_clouds_is_offered_and_never_passed_over(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "clouds").mkdir()
    lines = ["path,label,split"]
    for number in range(4):
        np.save(tmp_path / "clouds" / f"{number}.npy", draw.normal(size=(9, 3)))
        lines.append(f"clouds/{number}.npy,{('chair', 'table')[number % 2]},{('train', 'test')[number // 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    (fit,) = detect(tmp_path)
    assert fit.settings("mine", {})["data"]["source"] == {
        "kind": "folder",
        "up_axis": "y",
        "csv": "labels.csv",
    }
    assert [row.split for row in fit.index.rows] == ["train", "train", "test", "test"]
    with pytest.raises(DataError, match=r"holds labels\.csv, .*set csv: labels\.csv to go by it"):
        Folder(up_axis="y").index(tmp_path)
    assert len(Folder(up_axis="y", layout="class").index(tmp_path).rows) == 4
