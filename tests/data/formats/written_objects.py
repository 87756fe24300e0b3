"""Small releases of object sets in their true layouts, written with the libraries that define the formats."""

import io
import json
import pickle
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from pointlab.data.catalogue.shapenet import PART_COUNTS
from pointlab.data.formats import (
    ModelNet40C,
    ModelNetC,
    ModelNetDat,
    ModelNetFewshot,
    ModelNetH5,
    Npz,
    ScanObjectNN,
    ShapeNet55,
    ShapeNetPart,
)
from pointlab.data.formats.modelnet40_c import CORRUPTIONS as CORRUPTIONS_40
from pointlab.data.formats.modelnet_c import CORRUPTIONS
from pointlab.data.source import Source, SourceIndex

AIRPLANE, CHAIR = "02691156", "03001627"
DASHED = f"{CHAIR}-u6028f63e-4111-4412-9098-fe5f4f0c7c43"
LISTED = {
    "train": [f"{CHAIR}-a1", f"{AIRPLANE}-b2", f"{CHAIR}-c3"],
    "test": [DASHED, f"{AIRPLANE}-d4"],
}
"""Shapes of a small ShapeNet-55, one of them with dashes in its name."""


def vectors(*shape: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, channels)).astype(np.float32)


def clouds(count: int, seed: int, channels: int = 6, num_points: int = 8) -> list[np.ndarray]:
    return [vectors(num_points, seed=100 * seed + number, channels=channels) for number in range(count)]


def write_h5(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)


def write_pickle(path: Path, content: object, protocol: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))


def read_all(source: Source, root: Path) -> tuple[SourceIndex, list]:
    index = source.index(root)
    return index, source.read(root, index.rows)


def write_dat(root: Path, protocol: int = 4) -> None:
    """Three training clouds and two test clouds of three classes, lists with the line ends of Windows."""
    (root / "modelnet40_shape_names.txt").write_bytes(b"airplane\r\nbed\r\nsofa\r\n")
    for seed, (split, labels) in enumerate({"train": [0, 2, 1], "test": [1, 0]}.items()):
        content = [clouds(len(labels), seed), [np.array([label]) for label in labels]]
        write_pickle(root / f"modelnet40_{split}_8192pts_fps.dat", content, protocol)


def write_fewshot(root: Path, folder: str = "5way_10shot") -> None:
    """A fold of five classes of ModelNet40, one training and one test cloud each."""
    classes = [7, 0, 39, 3, 12]
    content = {
        split: [(cloud, label, classes[label]) for label, cloud in enumerate(clouds(5, seed))]
        for seed, split in enumerate(["train", "test"])
    }
    write_pickle(root / folder / "0.pkl", content)


def write_scanobjectnn(root: Path, ending: str = "_augmentedrot_scale75", main: str = "main_split") -> None:
    """Four training clouds and two test clouds with a mask, -1 on every third point."""
    mask = np.where(np.arange(9) % 3 == 0, -1, 4)
    for seed, (prefix, labels) in enumerate({"training": [14, 0, 3, 3], "test": [2, 9]}.items()):
        write_h5(
            root / main / f"{prefix}_objectdataset{ending}.h5",
            data=vectors(len(labels), 9, seed=seed),
            label=np.array(labels, dtype=np.uint8),
            mask=np.tile(mask, (len(labels), 1)),
        )


def write_shapenet55(root: Path) -> None:
    """Two categories with lists, clouds, renderings and texts; a training row names no model."""
    for number, name in enumerate(LISTED["train"] + LISTED["test"]):
        for folder in ("shapenet_pc", "shapenet_img"):
            (root / folder).mkdir(exist_ok=True)
        np.save(root / f"shapenet_pc/{name}.npy", vectors(12, seed=number))
        Image.new("RGB", (6, 4), (number, 0, 0)).save(root / f"shapenet_img/{name}.png")
    (root / "ShapeNet-55").mkdir()
    for split, names in LISTED.items():
        rows = names + (["04379243-", "02747177-"] if split == "train" else [])
        (root / f"ShapeNet-55/{split}.txt").write_text("\r\n".join(f"{row}.npy" for row in rows))
    texts = [{"catalogue": int(synset), "describe": f"text {synset}"} for synset in (CHAIR, AIRPLANE)]
    (root / "shapenet55.json").write_text(json.dumps(texts))


def part_table(seed: int, parts: tuple[int, ...]) -> np.ndarray:
    """Six rows of xyz, unit normal and part."""
    normals = vectors(6, seed=seed + 50)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.concatenate(
        [vectors(6, seed=seed), normals, np.resize(parts, (6, 1))], axis=1, dtype=np.float32
    )


def write_shapenet_part(root: Path, delimiter: str = " ", newline: str = "\n") -> None:
    """The 16 official categories with an airplane in each split, and a chair to train on."""
    lines = [f"{name}\t{number:08d}" for number, name in enumerate(PART_COUNTS)]
    (root / "synsetoffset2category.txt").write_text("\n".join(lines))
    (root / "train_test_split").mkdir()
    shapes = {"train": ["00000000/a", "00000004/c"], "val": ["00000000/v"], "test": ["00000000/t"]}
    for seed, (name, listed) in enumerate(shapes.items()):
        entries = [f"shape_data/{shape}" for shape in listed]
        (root / f"train_test_split/shuffled_{name}_file_list.json").write_text(json.dumps(entries))
        for shape in listed:
            (root / shape).parent.mkdir(exist_ok=True)
            table = part_table(seed, (12, 15) if shape.endswith("c") else (0, 3))
            np.savetxt(root / f"{shape}.txt", table, fmt="%.9g", delimiter=delimiter, newline=newline)


def write_modelnet_c(root: Path) -> None:
    """All 36 files of two clouds each, in the two types and in the differing lengths of the release."""
    labels = np.array([[5], [39]])
    write_h5(root / "clean.h5", data=vectors(2, 8), label=labels)
    for number, name in enumerate(CORRUPTIONS):
        for level in range(5):
            points = vectors(2, 8 + number + level, seed=10 * number + level)
            kind = np.float64 if name == "jitter" else np.float32
            write_h5(root / f"{name}_{level}.h5", data=points.astype(kind), label=labels)


def write_modelnet40_c(root: Path) -> None:
    """All 75 files of two clouds each, the clean ones and the labels."""
    np.save(root / "label.npy", np.array([[5], [39]]))
    np.save(root / "data_original.npy", vectors(2, 8, seed=999))
    for number, name in enumerate(CORRUPTIONS_40):
        for severity in range(1, 6):
            points = vectors(2, 5 + severity, seed=10 * number + severity)
            np.save(root / f"data_{name}_{severity}.npy", points.astype(np.float64))


FIXED_POINT = Npz(
    points="points_q",
    points_scale="step",
    normals="normals_i8",
    labels="label",
    classes="names",
    split="part",
    split_values={"train": 0, "test": 1},
)


def fixed_point_arrays() -> dict[str, np.ndarray]:
    """Five clouds in fixed point with normals, in one array for both splits."""
    random = np.random.default_rng(1)
    return {
        "points_q": random.integers(-2000, 2000, (5, 7, 3)).astype(np.int16),
        "step": np.float32(1 / 2048),
        "normals_i8": random.integers(1, 127, (5, 7, 3)).astype(np.int8),
        "label": np.array([0, 1, 1, 0, 1]),
        "part": np.array([0, 1, 0, 0, 1]),
        "names": np.array(["cup", "lamp"]),
    }


def write_npz(root: Path) -> None:
    np.savez_compressed(root / "set.npz", **fixed_point_arrays())


def write_lone_h5(root: Path) -> None:
    """A training and a test file without any lists."""
    for seed, name in enumerate(["a", "b"]):
        write_h5(root / f"{name}.h5", data=vectors(3, 6, seed=seed), label=np.array([0, 1, 0]))


TRIPLETS = ShapeNet55(pictures="shapenet_img/{synset}-{model}.png", captions="shapenet55.json")
LONE_H5 = ModelNetH5(files={"train": ["a.h5"], "test": ["b.h5"]}, class_names=["beam", "wall"])
RELEASES = {
    "modelnet_dat": (ModelNetDat(), write_dat),
    "modelnet_fewshot": (ModelNetFewshot(), write_fewshot),
    "scanobjectnn": (ScanObjectNN(), write_scanobjectnn),
    "shapenet55": (TRIPLETS, write_shapenet55),
    "shapenet_part": (ShapeNetPart(), write_shapenet_part),
    "modelnet_c": (ModelNetC(), write_modelnet_c),
    "modelnet40_c": (ModelNet40C(), write_modelnet40_c),
    "npz": (FIXED_POINT, write_npz),
    "modelnet_h5": (LONE_H5, write_lone_h5),
}


def as_object_npy() -> bytes:
    """An npy file of objects, which numpy reads by unpickling."""
    sink = io.BytesIO()
    np.save(sink, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    return sink.getvalue()
