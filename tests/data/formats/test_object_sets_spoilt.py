"""Whatever is wrong with a published set of objects, the error names the file and says what to do."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointlab.data.formats import ModelNetH5, Npz, ScanObjectNN, ShapeNet55
from pointlab.data.preparation import find_problem
from pointlab.errors import DataError
from written_objects import (
    AIRPLANE,
    CHAIR,
    RELEASES,
    as_object_npy,
    clouds,
    fixed_point_arrays,
    read_all,
    vectors,
    write_h5,
    write_pickle,
)

Spoil = Callable[[Path], object]


def remove(name: str) -> Spoil:
    return lambda root: (root / name).unlink()


def truncate(name: str, lost: int = 100) -> Spoil:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-lost])


def text(name: str, content: str) -> Spoil:
    return lambda root: (root / name).write_text(content)


def raw(name: str, content: bytes) -> Spoil:
    return lambda root: (root / name).write_bytes(content)


def array(name: str, content: Any) -> Spoil:
    return lambda root: np.save(root / name, np.asarray(content))


def picture(name: str, width: int, height: int) -> Spoil:
    return lambda root: Image.new("RGB", (width, height)).save(root / name)


def h5(name: str, **arrays: np.ndarray) -> Spoil:
    return lambda root: write_h5(root / name, **arrays)


def pickled(name: str, content: Any) -> Spoil:
    return lambda root: write_pickle(root / name, content)


def npz(**changed: Any) -> Spoil:
    arrays = {**fixed_point_arrays(), **changed}
    kept = {name: value for name, value in arrays.items() if value is not None}
    return lambda root: np.savez(root / "set.npz", **kept)


def zipped(member: str, content: bytes) -> Spoil:
    def spoil(root: Path) -> None:
        with zipfile.ZipFile(root / "set.npz", "w") as archive:
            archive.writestr(member, content)
            for name in ("step", "names"):
                sink = io.BytesIO()
                np.save(sink, fixed_point_arrays()[name])
                archive.writestr(f"{name}.npy" if member.endswith(".npy") else name, sink.getvalue())

    return spoil


def header(shape: tuple[int, ...]) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(sink, {"descr": "<i2", "fortran_order": False, "shape": shape})
    return sink.getvalue()


PROMISE = header((10**6, 10**6, 3))
DAT = "modelnet40_test_8192pts_fps.dat"
LABELS = [np.array([1]), np.array([0])]
TWO = clouds(2, 1)
DAT_DEFECTS = {
    "no class names": (remove("modelnet40_shape_names.txt"), "modelnet40_shape_names.txt"),
    "no test file": (remove(DAT), f"no file .*{DAT}"),
    "truncated": (truncate(DAT), f"{DAT} is not a whole pickle"),
    "empty": (raw(DAT, b""), f"{DAT} is not a whole pickle"),
    "hostile": (raw(DAT, b"cos\nsystem\n(S'true'\ntR."), rf"{DAT} asks for 'os\.system'"),
    "not two lists": (pickled(DAT, TWO), f"{DAT} holds .*list.*two lists"),
    "a dict": (pickled(DAT, {"train": []}), f"{DAT} holds a value of type dict"),
    "fewer labels": (pickled(DAT, [TWO, LABELS[:1]]), f"{DAT} holds 2 clouds and 1 labels"),
    "no clouds": (pickled(DAT, [[], []]), f"{DAT} holds 0 clouds"),
    "label outside": (pickled(DAT, [TWO, [np.array([0]), np.array([3])]]), f"{DAT} has label 3 in row 1"),
    "label of two": (pickled(DAT, [TWO, [np.array([0, 1])] * 2]), f"{DAT} holds a label"),
    "fractional label": (pickled(DAT, [TWO, [0.5, 1]]), f"{DAT} holds a label of type float in row 0"),
    "integers for points": (pickled(DAT, [[cloud.astype(int) for cloud in TWO], LABELS]), f"{DAT} .*int64"),
    "four columns": (pickled(DAT, [[vectors(8, channels=4)] * 2, LABELS]), rf"{DAT} .*\(8, 4\).* as cloud 0"),
    "no points": (pickled(DAT, [[np.zeros((0, 6))] * 2, LABELS]), rf"{DAT} .*\(0, 6\)"),
    "a list for a cloud": (pickled(DAT, [[[1, 2, 3]] * 2, LABELS]), f"{DAT} .*type list as cloud 0"),
}
FOLD = "5way_10shot/0.pkl"
SAMPLES = [(cloud, label, label) for label, cloud in enumerate(clouds(5, 0))]
FEWSHOT_DEFECTS = {
    "no fold": (remove(FOLD), f"no file .*{FOLD}"),
    "no folder": (lambda root: (root / "5way_10shot").rename(root / "folds"), "no folder 5way_10shot"),
    "truncated": (truncate(FOLD, 5), f"{FOLD} is not a whole pickle"),
    "hostile": (raw(FOLD, pickle.dumps(print)), rf"{FOLD} asks for 'builtins\.print'"),
    "a list": (pickled(FOLD, SAMPLES), f"{FOLD} holds no list of samples of train"),
    "no test": (pickled(FOLD, {"train": SAMPLES}), f"{FOLD} holds no list of samples of test"),
    "no original class": (
        pickled(FOLD, {"train": SAMPLES, "test": [(cloud, 0) for cloud in TWO]}),
        f"{FOLD} holds a sample of test that is not of three",
    ),
    "label outside": (
        pickled(FOLD, {"train": SAMPLES, "test": [(TWO[0], 5, 5)]}),
        f"{FOLD} has label 5 in row 5",
    ),
    "fewer classes": (pickled(FOLD, {"train": SAMPLES[:4], "test": SAMPLES[:4]}), f"{FOLD} holds 4 classes"),
    "a label of two classes": (
        pickled(FOLD, {"train": SAMPLES, "test": [(TWO[0], 0, 9)]}),
        f"{FOLD} holds two classes of label 0",
    ),
    "an unknown class": (
        pickled(FOLD, {"train": [*SAMPLES[:4], (TWO[0], 4, 40)], "test": SAMPLES[:1]}),
        f"{FOLD} has label 40",
    ),
}
SCAN = "main_split/test_objectdataset_augmentedrot_scale75.h5"
TWO_LABELS = np.array([0, 1])
SCAN_DEFECTS = {
    "no test file": (remove(SCAN), f"no file .*{SCAN}"),
    "no main_split": (lambda root: (root / "main_split").rename(root / "split1"), "no folder main_split"),
    "truncated": (truncate(SCAN), f"{SCAN} cannot be read"),
    "empty": (raw(SCAN, b""), f"{SCAN} cannot be read"),
    "label outside": (h5(SCAN, data=vectors(1, 4), label=np.array([15])), f"{SCAN} has label 15 in row 0"),
    "no labels": (h5(SCAN, data=vectors(2, 4)), f"{SCAN} holds the keys"),
    "too many labels": (h5(SCAN, data=vectors(1, 4), label=TWO_LABELS), rf"{SCAN} .*\(2,\)"),
    "coordinates first": (
        h5(SCAN, data=vectors(2, 3, channels=9), label=TWO_LABELS),
        rf"{SCAN} .*\(2, 3, 9\)",
    ),
    "mask of one cloud": (
        h5(SCAN, data=vectors(2, 4), label=TWO_LABELS, mask=np.zeros((1, 4))),
        rf"{SCAN} .*'mask'.*\(1, 4\)",
    ),
    "mask of words": (
        h5(SCAN, data=vectors(1, 2), label=np.array([0]), mask=np.array([[b"a", b"b"]])),
        f"{SCAN} .*'mask'",
    ),
}
CLOUD, PICTURES = f"shapenet_pc/{CHAIR}-a1.npy", "shapenet_img"
PICTURE = f"{PICTURES}/{CHAIR}-a1.png"
TEST_LIST, TEXTS = "ShapeNet-55/test.txt", "shapenet55.json"
SHAPENET_DEFECTS = {
    "no list": (remove(TEST_LIST), f"no file .*{TEST_LIST}"),
    "no lists": (lambda root: (root / "ShapeNet-55").rename(root / "55"), "no folder ShapeNet-55"),
    "empty list": (text(TEST_LIST, "\r\n"), f"{TEST_LIST} is empty"),
    "listed file missing": (remove(CLOUD), f"missing, the first is .*{CLOUD}"),
    "listed twice": (text(TEST_LIST, f"{CHAIR}-a1.npy"), f"{TEST_LIST} lists '{CHAIR}-a1.npy'"),
    "no synset": (text(TEST_LIST, "chair-a1.npy"), "the row 'chair-a1.npy'"),
    "an unknown row without a model": (text(TEST_LIST, f"{CHAIR}-.npy"), f"the row '{CHAIR}-.npy'"),
    "a model that is a folder above": (text(TEST_LIST, f"{CHAIR}-...npy"), r"the row '.*-\.\.\.npy'"),
    "another extension": (text(TEST_LIST, f"{AIRPLANE}-d4.txt"), f"the row '{AIRPLANE}-d4.txt'"),
    "truncated cloud": (truncate(CLOUD), f"{CLOUD} cannot be read"),
    "empty cloud": (raw(CLOUD, b""), f"{CLOUD} cannot be read"),
    "a web page": (raw(CLOUD, b"<html>"), f"{CLOUD} cannot be read"),
    "objects": (raw(CLOUD, as_object_npy()), f"{CLOUD} cannot be read"),
    "integers": (array(CLOUD, np.zeros((8, 3), int)), f"{CLOUD} .*int64"),
    "four columns": (array(CLOUD, np.zeros((8, 4))), rf"{CLOUD} .*\(8, 4\)"),
    "no points": (array(CLOUD, np.zeros((0, 3))), rf"{CLOUD} .*\(0, 3\)"),
    "no pictures": (
        lambda root: (root / PICTURES).rename(root / "img"),
        f"{PICTURES}/.* has no picture of any of 5",
    ),
    "no picture": (raw(PICTURE, b"<html>"), f"{PICTURE} cannot be read"),
    "half a picture": (truncate(PICTURE, 30), f"{PICTURE} cannot be read"),
    "a picture of another size": (
        picture(PICTURE, 3, 2),
        f"The pictures differ in size: .*{PICTURE} has 3 x 2 pixels",
    ),
    "a picture out of bounds": (picture(PICTURE, 4097, 1), f"{PICTURE} has 4097 x 1 pixels"),
    "no texts": (remove(TEXTS), f"no file .*{TEXTS}"),
    "truncated texts": (truncate(TEXTS, 3), f"{TEXTS} cannot be read"),
    "texts of nothing": (text(TEXTS, "[]"), f"{TEXTS} below .* has no caption of any of 5"),
    "several texts of one": (text(TEXTS, '{"a1": ["a", "b"]}'), f"{TEXTS} cannot be read: .*valid string"),
    "two texts": (
        text(TEXTS, json.dumps([{"catalogue": int(CHAIR), "describe": word} for word in "ab"])),
        f"{TEXTS} has two texts of {CHAIR}",
    ),
}
SHAPE, SHAPES = "00000000/t.txt", "train_test_split/shuffled_test_file_list.json"
ROW = "0 1 2 0 0 1 "
CATEGORIES = "synsetoffset2category.txt"
PART_DEFECTS = {
    "no categories": (remove(CATEGORIES), f"no file .*{CATEGORIES}"),
    "category without folder": (text(CATEGORIES, "Airplane"), f"{CATEGORIES} has the line 'Airplane'"),
    "category twice": (
        text(CATEGORIES, "Ant 0001\nAnt 0002"),
        f"{CATEGORIES} has a category or folder twice",
    ),
    "other categories without parts": (
        text(CATEGORIES, "Ant 00000000\nBird 00000004"),
        r"no part_names\.json",
    ),
    "parts without names": (text("part_names.json", "{}"), r"part_names\.json without names"),
    "no list": (remove(SHAPES), f"no file .*{SHAPES}"),
    "truncated list": (truncate(SHAPES, 2), f"{SHAPES} cannot be read"),
    "list of numbers": (text(SHAPES, "[1]"), f"{SHAPES} cannot be read"),
    "listed file missing": (remove(SHAPE), f"{SHAPES} lists, without a file.*00000000/t"),
    "listed twice": (text(SHAPES, '["shape_data/00000000/a"]'), f"{SHAPES} lists twice .*00000000/a"),
    "unknown category": (text(SHAPES, '["shape_data/7/t"]'), f"{SHAPES} lists, without a file of a category"),
    "empty cloud": (text(SHAPE, "\n"), f"{SHAPE} is empty"),
    "no part": (text(SHAPE, ROW), f"{SHAPE} has rows of 6 numbers"),
    "part outside": (text(SHAPE, f"{ROW} 3\n{ROW} 50"), f"{SHAPE} has part 50 in row 1"),
    "fractional part": (text(SHAPE, f"{ROW} 1.5"), f"{SHAPE} has part 1.5 in row 0"),
    "part not a number": (text(SHAPE, f"{ROW} nan"), f"{SHAPE} has part nan in row 0"),
    "negative part": (text(SHAPE, f"{ROW} -1"), f"{SHAPE} has part -1 in row 0"),
    "commas and blanks": (text(SHAPE, "0,1,2,0,0,1,3\n0 1 2 0 0 1 3"), f"{SHAPE} cannot be read"),
    "decimal commas": (text(SHAPE, "0,5 1,5 2,5 0,0 0,0 1,0 3,0"), f"{SHAPE} cannot be read"),
    "a comment": (text(SHAPE, f"# by hand\n{ROW} 3"), f"{SHAPE} has 1 comments"),
    "a header": (text(SHAPE, f"x y z nx ny nz part\n{ROW} 3"), f"{SHAPE} cannot be read"),
    "uneven rows": (text(SHAPE, f"{ROW} 3\n{ROW}"), f"{SHAPE} cannot be read"),
    "binary": (raw(SHAPE, b"\xff\xfe\x00"), f"{SHAPE} cannot be read"),
}
SUITE_H5 = {
    "no clean clouds": (remove("clean.h5"), "clean.h5"),
    "a corruption missing": (remove("rotate_4.h5"), "1 of 36 files .*rotate_4.h5"),
    "truncated": (truncate("rotate_4.h5"), "rotate_4.h5 cannot be read"),
    "label outside": (
        h5("rotate_4.h5", data=vectors(2, 4), label=np.array([0, 40])),
        "rotate_4.h5 has label 40",
    ),
    "integers": (h5("rotate_4.h5", data=np.zeros((2, 4, 3), int), label=TWO_LABELS), "rotate_4.h5 .*int64"),
    "a severity for a level": (
        lambda root: (root / "jitter_0.h5").rename(root / "jitter_5.h5"),
        r"jitter_0\.h5",
    ),
}
NPY = "data_shear_2.npy"
SUITE_NPY = {
    "no labels": (remove("label.npy"), "no file .*label.npy"),
    "a corruption missing": (remove(NPY), f"1 of 75 files .*{NPY}"),
    "truncated": (truncate(NPY), f"{NPY} cannot be read"),
    "empty": (raw(NPY, b""), f"{NPY} cannot be read"),
    "objects": (raw(NPY, as_object_npy()), f"{NPY} cannot be read"),
    "objects for labels": (raw("label.npy", as_object_npy()), "label.npy cannot be read"),
    "fewer clouds": (array(NPY, vectors(1, 4)), f"{NPY} holds 1 clouds.*2, one a label"),
    "one cloud alone": (array(NPY, vectors(4)), rf"{NPY} .*\(4, 3\)"),
    "integers": (array(NPY, np.zeros((2, 4, 3), int)), f"{NPY} .*int64"),
    "label outside": (array("label.npy", [[0], [40]]), "label.npy has label 40 in row 1"),
    "fractional labels": (array("label.npy", [0.5, 1]), "label.npy has labels .*float64"),
    "an archive": (lambda root: np.savez((root / NPY).open("wb"), a=vectors(2, 4)), f"{NPY} is an archive"),
}
NPZ_DEFECTS = {
    "no file": (remove("set.npz"), "0 npz files"),
    "truncated": (truncate("set.npz"), "set.npz cannot be read"),
    "empty": (raw("set.npz", b""), "set.npz cannot be read"),
    "no points": (npz(points_q=None), "set.npz holds the arrays .*points_q"),
    "no arrays at all": (zipped("points_q", b"text"), r"set.npz holds the arrays \[\]"),
    "text for an array": (zipped("points_q.npy", b"text"), "set.npz cannot be read"),
    "a header that promises more": (zipped("points_q.npy", PROMISE), "set.npz holds 0 bytes of 'points_q'"),
    "no labels": (npz(label=None), "set.npz holds the arrays .*'label'"),
    "no scale": (npz(step=None), "set.npz holds the arrays .*'step'"),
    "two scales": (npz(step=[0.1, 0.2]), "set.npz holds 'step' of shape .2,"),
    "objects": (npz(points_q=np.array([None, 1], dtype=object)), "set.npz holds 'points_q' of type object"),
    "objects for labels": (npz(label=np.array([None] * 5)), "set.npz holds 'label' of type object"),
    "words for points": (npz(points_q=np.full((5, 7, 3), "a")), "set.npz holds 'points_q' .*<U1"),
    "two coordinates": (npz(points_q=np.zeros((5, 7, 2))), r"set.npz holds 'points_q' .*\(5, 7, 2\)"),
    "no clouds": (npz(points_q=np.zeros((0, 7, 3))), r"set.npz holds 'points_q' .*\(0, 7, 3\)"),
    "column by column": (npz(points_q=np.asfortranarray(np.zeros((5, 7, 3)))), "column by column"),
    "fewer normals": (npz(normals_i8=np.ones((5, 6, 3))), r"set.npz holds 'normals_i8' .*\(5, 6, 3\)"),
    "a normal of no length": (npz(normals_i8=np.zeros((5, 7, 3))), "set.npz has 7 normals"),
    "fewer labels": (npz(label=[0, 1]), r"set.npz has labels of shape \(2,\)"),
    "label outside": (npz(label=[0, 1, 2, 0, 0]), "set.npz has label 2 in row 2"),
    "an unknown split": (npz(part=[0, 1, 2, 0, 1]), r"set.npz has clouds of the splits \['2'\]"),
    "fewer splits": (npz(part=[0, 1]), r"set.npz holds 'part' .*\(2,\)"),
    "numbers for names": (npz(names=[1, 2]), "set.npz holds 'names' .*int64"),
}
LONE_DEFECTS = {
    "named file missing": (remove("b.h5"), "no file .*b.h5"),
    "label outside": (h5("b.h5", data=vectors(1, 4), label=np.array([2])), "b.h5 has label 2 in row 0"),
    "truncated": (truncate("a.h5"), "a.h5 cannot be read"),
}
TABLES = {
    "modelnet_dat": DAT_DEFECTS,
    "modelnet_fewshot": FEWSHOT_DEFECTS,
    "scanobjectnn": SCAN_DEFECTS,
    "shapenet55": SHAPENET_DEFECTS,
    "shapenet_part": PART_DEFECTS,
    "modelnet_c": SUITE_H5,
    "modelnet40_c": SUITE_NPY,
    "npz": NPZ_DEFECTS,
    "modelnet_h5": LONE_DEFECTS,
}
DEFECTS = [
    pytest.param(kind, *defect, id=f"{kind}: {name}")
    for kind, defects in TABLES.items()
    for name, defect in defects.items()
]


@pytest.mark.parametrize(("kind", "spoil", "message"), DEFECTS)
def test_a_spoilt_file_is_named_with_a_remedy(kind: str, spoil: Spoil, message: str, tmp_path: Path) -> None:
    source, write = RELEASES[kind]
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_all(source, tmp_path)
    assert caught.value.expected
    assert caught.value.remedy


def test_every_kind_has_spoilt_variants() -> None:
    assert set(TABLES) == set(RELEASES)


NAN = np.float32("nan")
WITH_NAN = {
    "modelnet_dat": pickled(DAT, [[np.full((8, 6), NAN)] * 2, LABELS]),
    "scanobjectnn": h5(SCAN, data=np.full((2, 9, 3), NAN), label=TWO_LABELS, mask=np.zeros((2, 9))),
    "shapenet55": array(CLOUD, np.full((12, 3), NAN)),
    "shapenet_part": text(SHAPE, "nan 0 0 0 0 1 3"),
    "modelnet40_c": array("data_original.npy", np.full((2, 8, 3), NAN)),
}


@pytest.mark.parametrize("kind", WITH_NAN)
def test_points_that_are_not_numbers_are_handed_on_to_preparation(kind: str, tmp_path: Path) -> None:
    source, write = RELEASES[kind]
    write(tmp_path)
    WITH_NAN[kind](tmp_path)
    index, found = read_all(source, tmp_path)
    problems = [find_problem(cloud, len(index.class_names)) for cloud in found]
    assert any(problem is not None and "NaN" in problem.reason for problem in problems)


@pytest.mark.parametrize("kind", RELEASES)
def test_a_file_that_vanished_after_indexing_is_named(kind: str, tmp_path: Path) -> None:
    source, write = RELEASES[kind]
    write(tmp_path)
    index = source.index(tmp_path)
    (tmp_path / index.rows[-1].file).unlink()
    with pytest.raises(DataError, match=index.rows[-1].file if kind != "npz" else "npz"):
        source.read(tmp_path, index.rows)


SHRUNK = {
    "npz": npz(points_q=np.zeros((2, 7, 3), np.int16), normals_i8=np.ones((2, 7, 3), np.int8)),
    "modelnet40_c": array("data_distortion_rbf_inv_5.npy", vectors(1, 4)),
    "modelnet_c": h5("add_local_4.h5", data=vectors(1, 4), label=TWO_LABELS[:1]),
    "modelnet_dat": pickled(DAT, [TWO[:1], LABELS[:1]]),
    "modelnet_fewshot": pickled(FOLD, {"train": SAMPLES[:1], "test": SAMPLES[:1]}),
}


@pytest.mark.parametrize("kind", SHRUNK)
def test_a_file_that_shrank_after_indexing_is_named(kind: str, tmp_path: Path) -> None:
    source, write = RELEASES[kind]
    write(tmp_path)
    index = source.index(tmp_path)
    SHRUNK[kind](tmp_path)
    with pytest.raises(DataError, match=index.rows[-1].file):
        source.read(tmp_path, index.rows)


@pytest.mark.parametrize(
    "kind", ["modelnet_dat", "modelnet_fewshot", "scanobjectnn", "shapenet55", "shapenet_part"]
)
def test_a_cloud_with_too_few_points_is_never_filled_up(kind: str, tmp_path: Path) -> None:
    source, write = RELEASES[kind]
    write(tmp_path)
    with pytest.raises(DataError, match="points in a cloud") as caught:
        read_all(type(source)(num_points=13), tmp_path)
    assert "num_points" in caught.value.remedy


WRONG_SETTINGS = {
    "npz without names of classes": ("npz", Npz(points="points_q", points_scale=1, labels="label"), "names"),
    "npz of integers without a scale": ("npz", Npz(points="points_q", labels=None), "points_scale"),
    "npz without arrays of splits": ("npz", Npz(points="X_{split}", labels=None), "X_train"),
    "npz that is no grid": (
        "npz",
        Npz(points="points_q", occupancy=True, labels=None),
        r"\(clouds, x, y, z\)",
    ),
    "h5 named twice": (
        "modelnet_h5",
        ModelNetH5(files={"train": ["a.h5"], "test": ["a.h5"]}, class_names=["a", "b"]),
        "every file once",
    ),
    "h5 without files": ("modelnet_h5", ModelNetH5(files={}, class_names=["a"]), "at least one file"),
    "h5 without class names": ("modelnet_h5", ModelNetH5(files={"train": ["a.h5"]}), "shape_names.txt"),
    "another variant": ("scanobjectnn", ScanObjectNN(variant="pb_t25"), "augmented25_norot.h5"),
    "another subset": ("shapenet55", ShapeNet55(subset="34"), "ShapeNet-34"),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_settings_that_do_not_fit_the_files_are_told(name: str, tmp_path: Path) -> None:
    kind, source, message = WRONG_SETTINGS[name]
    RELEASES[kind][1](tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_all(source, tmp_path)
    assert caught.value.remedy
