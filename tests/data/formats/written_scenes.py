"""Small scenes in the layouts of S3DIS, ScanNet and the Princeton segmentation benchmark."""

from pathlib import Path

import numpy as np
import trimesh
from numpy.lib.recfunctions import repack_fields

from written_clouds import make, ply_table, write_cube, write_ply_table

ROOMS = {"Area_1": ["office_1", "hallway_2"], "Area_5": ["hallway_6"]}
OBJECTS = ["ceiling_1", "chair_1", "chair_12", "stairs_1"]
SPOILT = "Area_5/hallway_6/Annotations/ceiling_1.txt"
SCENES = {"scene0000_00": [1, 39, 0, 13, 40, 16], "scene0000_01": [2], "scene0007_00": [36, 3]}
"""Scene -> nyu40 numbers of its points, again and again."""
XYZ_RGB = ["x", "y", "z", "red", "green", "blue"]
FACES_UP = np.flatnonzero(trimesh.creation.box().face_normals[:, 1] > 0.5) + 1
CUBE_PARTS = {"support": FACES_UP, "leg": np.setdiff1d(np.arange(1, 13), FACES_UP)}
"""Part -> faces of a cube, numbered from 1; what faces up is the support."""


def room_table(seed: int, num_points: int = 5) -> np.ndarray:
    """Rows of x y z r g b."""
    cloud = make(num_points, seed)
    return np.concatenate([cloud.points, cloud.colours], axis=1).astype(np.float32)


def write_s3dis_npy(root: Path) -> None:
    """Three rooms; all thirteen labels in each."""
    for seed, name in enumerate(["Area_1_office_1", "Area_1_hallway_2", "Area_5_hallway_6"]):
        table = room_table(seed, num_points=13)
        np.save(root / f"{name}.npy", np.concatenate([table, np.arange(13)[:, None]], axis=1))


def write_s3dis_raw(root: Path) -> None:
    """Three rooms of four objects of five points; the character NUL where v1.2 has one."""
    for area, rooms in ROOMS.items():
        for room in rooms:
            folder = root / area / room / "Annotations"
            folder.mkdir(parents=True)
            for seed, name in enumerate(OBJECTS):
                np.savetxt(folder / f"{name}.txt", room_table(seed), fmt=["%.3f"] * 3 + ["%d"] * 3)
    lines = (root / SPOILT).read_text().splitlines()
    head, _, blue = lines[2].rpartition(" ")
    (root / SPOILT).write_text("\n".join([*lines[:2], f"{head}\x00{blue}", *lines[3:]]))
    (root / "Area_1" / "office_1" / "office_1.txt").write_text("not read")
    (root / "Area_1" / ".DS_Store").write_bytes(b"\0")


def write_scannet(root: Path) -> None:
    """Two scans of one room, one of another, and a scene of the test set without labels."""
    for seed, (scene, numbers) in enumerate(SCENES.items()):
        folder = root / "scans" / scene
        folder.mkdir(parents=True)
        table = ply_table(make(12, seed))
        table["label"] = np.resize(numbers, 12)
        write_ply_table(folder / f"{scene}_vh_clean_2.ply", repack_fields(table[XYZ_RGB]))
        write_ply_table(folder / f"{scene}_vh_clean_2.labels.ply", table)
    folder = root / "scans_test" / "scene0707_00"
    folder.mkdir(parents=True)
    table = ply_table(make(12, 9))[XYZ_RGB]
    write_ply_table(folder / "scene0707_00_vh_clean_2.ply", repack_fields(table))


def write_scannet_lists(root: Path) -> None:
    for name, scenes in {
        "train": ["scene0000_00", "scene0000_01", "scene0001_00"],
        "val": ["scene0007_00"],
        "test": ["scene0707_00"],
    }.items():
        (root / f"scannetv2_{name}.txt").write_text("\n".join(scenes))


def write_psb(root: Path) -> None:
    """Cubes called chairs 2, 10 and 11, and table 5, whose faces are in two parts."""
    for name in ["Chair/2", "Chair/10", "Chair/11", "Table/5"]:
        path = root / f"{name}.off"
        path.parent.mkdir(exist_ok=True)
        write_cube(path)
        lines = [
            line
            for part, faces in CUBE_PARTS.items()
            for line in (part, " ".join(str(face) for face in faces))
        ]
        (root / f"{name}_labels.txt").write_text("\n".join(lines) + "\n")
