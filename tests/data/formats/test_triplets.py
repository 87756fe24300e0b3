"""Points, pictures and captions of ShapeNet-style folders, of which an object may lack some."""

import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from pointlab.config import validate
from pointlab.data.formats import ShapeNet55
from pointlab.data.formats.picture_patterns import find_pictures
from pointlab.data.formats.shapenet_texts import read_texts
from pointlab.errors import ConfigError
from written_objects import AIRPLANE, CHAIR, read_all, write_shapenet55


def test_shapenet_objects_have_the_pictures_and_captions_that_there_are_and_lacking_ones_are_counted(
    tmp_path: Path,
) -> None:
    write_shapenet55(tmp_path)
    texts = {f"{CHAIR}-a1": "an armchair", "b2": "a glider", AIRPLANE: "an airplane", "c3": " "}
    (tmp_path / "said.json").write_text(json.dumps(texts))
    for name in ("a1/r_001.png", "a1/r_000.png", "a1/depth.png", "d[4]/r_000.jpg"):
        path = tmp_path / f"views/{CHAIR if name.startswith('a1') else AIRPLANE}/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(path)
    source = ShapeNet55(pictures="views/{synset}/{model}/r_*", captions="said.json")
    index, found = read_all(source, tmp_path)
    views = [[view.name for view in cloud.views] for cloud in found]
    assert views == [["r_000", "r_001"], [], [], [], []]
    assert [cloud.caption for cloud in found] == ["an armchair", "a glider", None, None, "an airplane"]
    assert index.defects["object without a picture"] == 4
    assert index.defects["object without a caption"] == 2
    assert set(index.defects) <= set(index.card.known_defects)
    assert {"said.json", f"views/{CHAIR}/a1/r_001.png"} <= set(index.files)


def test_names_of_models_are_no_wildcards(tmp_path: Path) -> None:
    for name in ("a[1]-0.png", "a1-0.png", "b-0.png", "a[1]-0.txt"):
        (tmp_path / name).touch()
    assert find_pictures(tmp_path, "{model}-?.png", CHAIR, "a[1]") == ["a[1]-0.png"]
    assert find_pictures(tmp_path, "*.png", CHAIR, "a1") == ["a1-0.png", "a[1]-0.png", "b-0.png"]
    assert find_pictures(tmp_path, "{synset}/{model}.png", CHAIR, "b") == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("img/{synset}.png", "name an object by {model}"),
        ("img/{id}-{model}.png", "and nothing else"),
        ("img/{model.png", "is no pattern"),
        ("img/{model!r}.png", "as they are"),
        ("img/{model:>5}.png", "as they are"),
        ("../{model}.png", "below the root"),
        ("*/{model}.png", "wildcard in a folder"),
    ],
)
def test_a_pattern_that_finds_no_pictures_of_objects_is_a_mistake_of_the_config(
    pattern: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        validate(ShapeNet55, {"kind": "shapenet55", "pictures": pattern}, "source")


@pytest.mark.parametrize("captions", ["../said.json", "/said.json", ""])
def test_captions_lie_below_the_root(captions: str) -> None:
    with pytest.raises(ConfigError, match="below the root"):
        validate(ShapeNet55, {"kind": "shapenet55", "captions": captions}, "source")


def test_texts_of_categories_are_read_in_the_forms_that_the_release_s_own_reader_takes(
    tmp_path: Path,
) -> None:
    rows = [
        {"catalogue": int(AIRPLANE), "describe": "an airplane", "source": "by hand"},
        {"catalogue": CHAIR, "describe": "a chair"},
    ]
    path = tmp_path / "said.json"
    path.write_text(json.dumps(rows), encoding="utf-8-sig")
    assert read_texts(path) == {AIRPLANE: "an airplane", CHAIR: "a chair"}


def test_a_folder_is_listed_once_although_others_are_looked_into_between(tmp_path: Path) -> None:
    for synset in (CHAIR, AIRPLANE):
        (tmp_path / synset).mkdir()
        (tmp_path / synset / "a-0.png").touch()

    def found(synset: str) -> list[str]:
        return find_pictures(tmp_path, "{synset}/{model}-?.png", synset, "a")

    assert found(CHAIR) == [f"{CHAIR}/a-0.png"]
    changed = (tmp_path / CHAIR).stat()
    assert found(AIRPLANE) == [f"{AIRPLANE}/a-0.png"]
    (tmp_path / CHAIR / "a-1.png").touch()
    os.utime(tmp_path / CHAIR, ns=(changed.st_atime_ns, changed.st_mtime_ns))  # as if nothing had changed
    assert len(found(CHAIR)) == 1
    os.utime(tmp_path / CHAIR)
    assert len(found(CHAIR)) == 2
