"""Whatever is wrong with scenes and recordings, the error names the file and says what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlab.config import validate
from pointlab.data.formats import Folder, PsbParts, RgbdFrames, S3dis, Scannet
from pointlab.data.source import Source
from pointlab.errors import ConfigError, DataError
from written_clouds import make, ply_table, write_ply_table
from written_frames import calibration, save_matrix, write_7scenes, write_scannet_export, write_tum
from written_scenes import (
    SPOILT,
    room_table,
    write_psb,
    write_s3dis_npy,
    write_s3dis_raw,
    write_scannet,
    write_scannet_lists,
)

Spoil = Callable[[Path], object]


def text(name: str, content: str) -> Spoil:
    return lambda root: (root / name).write_text(content)


def append(name: str, content: str) -> Spoil:
    return lambda root: (root / name).write_text((root / name).read_text() + content)


def replace(name: str, old: str, new: str) -> Spoil:
    def spoil(root: Path) -> None:
        content = (root / name).read_text()
        assert old in content
        (root / name).write_text(content.replace(old, new, 1))

    return spoil


def remove(name: str) -> Spoil:
    return lambda root: (root / name).unlink()


def cut(name: str, num_bytes: int) -> Spoil:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-num_bytes])


def array(name: str, values: object) -> Spoil:
    return lambda root: np.save(root / name, values, allow_pickle=True)


def room_with(column: int, value: float) -> np.ndarray:
    table = np.concatenate([room_table(0), np.zeros((5, 1))], axis=1)
    table[2, column] = value
    return table


OFFICE, OBJECT = "Area_1_office_1.npy", "Area_1/office_1/Annotations/chair_1.txt"
S3DIS_NPY: dict[str, tuple[Spoil, str]] = {
    "no rooms": (
        lambda root: [path.unlink() for path in root.glob("*.npy")],
        "holds no rooms of the form 'npy'",
    ),
    "cut short": (cut(OFFICE, 9), f"{OFFICE} cannot be read"),
    "objects": (array(OFFICE, np.array([None, 1], dtype=object)), f"{OFFICE} cannot be read.*objects"),
    "no labels": (array(OFFICE, room_table(0)), rf"{OFFICE} .*\(5, 6\)"),
    "a label too high": (array(OFFICE, room_with(6, 13)), f"{OFFICE} has labels from 0 to 13"),
    "a label too low": (array(OFFICE, room_with(6, -1)), f"{OFFICE} has labels from -1 to 0"),
    "a fractional label": (array(OFFICE, room_with(6, 0.5)), f"{OFFICE} .*not whole numbers"),
    "a colour too high": (array(OFFICE, room_with(3, 256)), f"{OFFICE} has colours that are not whole"),
    "a fractional colour": (array(OFFICE, room_with(4, 0.5)), f"{OFFICE} has colours that are not whole"),
}
S3DIS_RAW: dict[str, tuple[Spoil, str]] = {
    "npy files": (lambda root: [write_s3dis_npy(root), *_rename_areas(root)], "no rooms of the form 'raw'"),
    "a stray character elsewhere": (replace(OBJECT, " ", "\x10"), "chair_1.txt cannot be read"),
    "another defect of the spoilt file": (append(SPOILT, "\n1 2 3 4 x 6"), "ceiling_1.txt .*'x'"),
    "a number too few": (append(OBJECT, "1 2 3 4 5\n"), "chair_1.txt .*from 6 to 5"),
    "no colours": (text(OBJECT, "1 2 3\r\n"), r"chair_1.txt .*\(1, 3\)"),
    "an empty object": (text(OBJECT, ""), "chair_1.txt has only comments"),
    "an unknown class": (
        text("Area_1/office_1/Annotations/lamp_1.txt", "1"),
        "lamp_1.txt is called after none",
    ),
    "a copy of an object": (
        text("Area_1/office_1/Annotations/chair_1 (1).txt", "1"),
        r"chair_1 \(1\).txt is called after none",
    ),
    "a room without objects": (
        lambda root: (root / "Area_5/WC_1").mkdir(),
        "WC_1/Annotations holds no annot",
    ),
}


def _rename_areas(root: Path) -> list[Path]:
    return [path.rename(root / f"old_{path.name}") for path in root.glob("Area_?")]


MESH = "scans/scene0007_00/scene0007_00_vh_clean_2.ply"
LABELS = "scans/scene0007_00/scene0007_00_vh_clean_2.labels.ply"


def ply(name: str, num_points: int = 12, **columns: object) -> Spoil:
    def spoil(root: Path) -> None:
        table = ply_table(make(num_points))
        for column, values in columns.items():
            table[column] = values
        write_ply_table(root / name, table)

    return spoil


SCANNET: dict[str, tuple[Spoil, str]] = {
    "no scenes": (
        lambda root: [path.rename(root / f"old_{path.name}") for path in root.glob("scans*")],
        "holds no scenes",
    ),
    "no mesh": (remove(MESH), f"no file .*{MESH}"),
    "no labels": (remove(LABELS), f"no file .*{LABELS}"),
    "mesh cut short": (cut(MESH, 10), f"{MESH} cannot be read"),
    "labels cut short": (cut(LABELS, 10), f"{LABELS} cannot be read"),
    "labels of another mesh": (ply(LABELS, num_points=11), f"{LABELS} has 11 labels, for 12 points"),
    "a mesh without points": (ply(MESH, num_points=0), f"{MESH} "),
    "a label of no list": (ply(LABELS, label=41), f"{LABELS} has labels from 41 to 41"),
    "a scene in two lists": (
        lambda root: [write_scannet_lists(root), text("scannetv2_val.txt", "scene0000_00\n")(root)],
        "scannetv2_val.txt lists 'scene0000_00'",
    ),
    "a scene in no list": (
        lambda root: [write_scannet_lists(root), text("scannetv2_val.txt", "scene0009_00\n")(root)],
        "no list names, first scene0007_00",
    ),
}
CHAIR = "Chair/2_labels.txt"
PSB: dict[str, tuple[Spoil, str]] = {
    "no meshes": (lambda root: [path.unlink() for path in root.glob("*/*.off")], "holds no meshes"),
    "no labels": (remove(CHAIR), f"no file .*{CHAIR}"),
    "empty labels": (text(CHAIR, "\n"), f"{CHAIR} is empty"),
    "an unknown part": (replace(CHAIR, "leg", "wing"), f"{CHAIR} has a part 'wing'"),
    "a word among faces": (replace(CHAIR, "leg\n", "leg\nx "), f"{CHAIR} has faces that are no numbers"),
    "a face too many": (append(CHAIR, "arm\n13\n"), f"{CHAIR} gives 'arm' 1 faces, not all within"),
    "a face numbered 0": (append(CHAIR, "arm\n0\n"), f"{CHAIR} gives 'arm' 1 faces, not all within"),
    "a face twice": (append(CHAIR, "arm\n1\n"), f"{CHAIR} labels 13 faces of a mesh of 12"),
    "a part without faces": (append(CHAIR, "arm\n"), f"{CHAIR} gives 'arm' 0 faces"),
    "faces of no part": (text(CHAIR, "leg\n1 2 3\n"), f"{CHAIR} labels 3 faces of a mesh of 12"),
    "mesh cut short": (cut("Chair/2.off", 10), "Chair/2.off"),
}
STEM = "seq-01/frame-000001"


def save_picture(name: str, mode: str, size: tuple[int, int] = (32, 24)) -> Spoil:
    return lambda root: Image.new(mode, size).save(root / name)


def pose_with(row: int, column: int, value: float) -> Spoil:
    def spoil(root: Path) -> None:
        matrix = np.eye(4)
        matrix[row, column] = value
        save_matrix(root / f"{STEM}.pose.txt", matrix)

    return spoil


def calibrated(**changes: object) -> Spoil:
    return text("calib.json", json.dumps({**calibration(), **changes}))


SEVEN_SCENES: dict[str, tuple[Spoil, str]] = {
    "no sequences": (
        lambda root: [path.unlink() for path in root.glob("*/*.pose.txt")],
        "no sequence in the style '7scenes'",
    ),
    "no intrinsics": (remove("calib.json"), "tells how its cameras see"),
    "intrinsics of another shape": (
        lambda root: [remove("calib.json")(root), text("camera-intrinsics.txt", "1 0 0\n0 1 0")(root)],
        r"camera-intrinsics.txt holds an array of shape \(2, 3\)",
    ),
    "a focal length of zero": (
        lambda root: [remove("calib.json")(root), text("camera-intrinsics.txt", "0 0 1\n0 5 1\n0 0 1")(root)],
        "camera-intrinsics.txt has focal lengths 0.0",
    ),
    "a calibration cut short": (cut("calib.json", 5), "calib.json cannot be read"),
    "a calibration without cameras": (
        text("calib.json", "{}"),
        "calib.json .*there is no 'depth_intrinsics'",
    ),
    "a calibration that stretches": (
        calibrated(depth_to_color=(2 * np.eye(4)).tolist()),
        "calib.json .*stretches",
    ),
    "a calibration of another size": (
        calibrated(depth_intrinsics={"fx": 5, "fy": 5, "cx": 1, "cy": 1, "w": 64, "h": 48}),
        r"depth.png has 32 by 24 pixels.*\(64, 48\)",
    ),
    "a unit of zero": (calibrated(depth_unit_m=0), "calib.json has depth counts of 0.0 metres"),
    "a pose with NaN": (pose_with(1, 3, np.nan), "frame-000001.pose.txt has numbers that are NaN"),
    "a pose that stretches": (pose_with(0, 0, 1.5), "frame-000001.pose.txt .*stretches"),
    "a pose that mirrors": (pose_with(0, 0, -1), "frame-000001.pose.txt .*mirrors"),
    "a pose of three rows": (text(f"{STEM}.pose.txt", "1 0 0 0\n" * 3), r"pose.txt .*\(3, 4\)"),
    "a pose with a word": (text(f"{STEM}.pose.txt", "1 0 0 x\n" * 4), "pose.txt .*'x'"),
    "an empty pose": (text(f"{STEM}.pose.txt", ""), "pose.txt is empty"),
    "no depth": (remove(f"{STEM}.depth.png"), "no file .*frame-000001.depth.png"),
    "no colour": (remove(f"{STEM}.color.png"), "no file .*frame-000001.color.jpg"),
    "depth of 8 bits": (save_picture(f"{STEM}.depth.png", "L"), "frame-000001.depth.png .*'L'"),
    "depth in colours": (save_picture(f"{STEM}.depth.png", "RGB"), "frame-000001.depth.png .*'RGB'"),
    "depth of another size": (
        save_picture(f"{STEM}.depth.png", "I;16", (24, 32)),
        "frame-000001.depth.png has 24 by 32 pixels",
    ),
    "colour of another size": (
        save_picture(f"{STEM}.color.png", "RGB"),
        "frame-000001.color.png has 32 by 24 pixels",
    ),
    "depth cut short": (cut(f"{STEM}.depth.png", 40), "frame-000001.depth.png cannot be read"),
    "colour cut short": (cut(f"{STEM}.color.png", 40), "frame-000001.color.png cannot be read"),
    "a page for a picture": (text(f"{STEM}.color.png", "<html>"), "frame-000001.color.png cannot be read"),
    "a sequence in both lists": (
        text("TestSplit.txt", "sequence1\nsequence2"),
        "TestSplit.txt lists 'sequence1'",
    ),
    "a sequence in no list": (text("TestSplit.txt", "sequence4"), "seq-02 is in none of"),
}
TUM_ROOT = "rgbd_dataset_freiburg1_wall"
TUM: dict[str, tuple[Spoil, str]] = {
    "no colour list": (remove(f"{TUM_ROOT}/rgb.txt"), "no file .*rgb.txt"),
    "only comments": (text(f"{TUM_ROOT}/depth.txt", "# a\n"), "depth.txt has only comments"),
    "a word for a time": (
        append(f"{TUM_ROOT}/depth.txt", "now depth/a.png\n"),
        "depth.txt .*'now depth/a.png'",
    ),
    "a path above the sequence": (
        append(f"{TUM_ROOT}/rgb.txt", "1 ../a.png\n"),
        "rgb.txt has the path '../a.png'",
    ),
    "a pose of seven numbers": (
        text(f"{TUM_ROOT}/groundtruth.txt", "1 0 0 0 0 0 1\n"),
        "groundtruth.txt has lines of 7 numbers",
    ),
    "a pose without direction": (
        append(f"{TUM_ROOT}/groundtruth.txt", "1 0 0 0 0 0 0 0\n"),
        "without direction",
    ),
    "a pose with NaN": (
        append(f"{TUM_ROOT}/groundtruth.txt", "1 nan 0 0 0 0 0 1\n"),
        "groundtruth.txt .*NaN",
    ),
    "no moment in common": (text(f"{TUM_ROOT}/groundtruth.txt", "7 0 0 0 0 0 0 1\n"), "has no frames"),
    "a listed picture missing": (
        remove(f"{TUM_ROOT}/depth/100.100000.png"),
        "no file .*depth/100.100000.png",
    ),
}
EXPORT: dict[str, tuple[Spoil, str]] = {
    "no intrinsics": (remove("scene0001_00/intrinsic/intrinsic_color.txt"), "no file .*intrinsic_color.txt"),
    "no extrinsics": (remove("scene0001_00/intrinsic/extrinsic_depth.txt"), "no file .*extrinsic_depth.txt"),
    "half a lost pose": (
        text("scene0001_01/pose/1.txt", "-inf 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"),
        "pose/1.txt has numbers that are NaN or infinite",
    ),
    "no colour": (remove("scene0001_01/color/2.jpg"), "no file .*color/2.jpg"),
    "jpeg cut short": (cut("scene0001_01/color/2.jpg", 300), "color/2.jpg cannot be read"),
}
CASES = [
    pytest.param(source, write, *case, id=f"{name}: {case_name}")
    for name, source, write, cases in [
        ("s3dis npy", S3dis(), write_s3dis_npy, S3DIS_NPY),
        ("s3dis raw", S3dis(form="raw"), write_s3dis_raw, S3DIS_RAW),
        ("scannet", Scannet(), write_scannet, SCANNET),
        ("psb", PsbParts(num_points=16), write_psb, PSB),
        ("7scenes", RgbdFrames(style="7scenes"), write_7scenes, SEVEN_SCENES),
        ("tum", RgbdFrames(style="tum"), write_tum, TUM),
        ("scannet export", RgbdFrames(style="scannet"), write_scannet_export, EXPORT),
    ]
    for case_name, case in cases.items()
]


@pytest.mark.parametrize(("source", "write", "spoil", "message"), CASES)
def test_a_spoilt_scene_is_named_with_a_remedy(
    source: Source, write: Callable[[Path], None], spoil: Spoil, message: str, tmp_path: Path
) -> None:
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        source.read(tmp_path, source.index(tmp_path).rows)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("source", [S3dis(), Scannet(), PsbParts(), RgbdFrames(style="tum")])
@pytest.mark.parametrize("root", [None, Path("no/such/folder")])
def test_a_missing_root_is_named_with_a_remedy(source: Source, root: Path | None) -> None:
    for use in (lambda: source.index(root), lambda: source.read(root, [])):
        with pytest.raises(DataError, match="no/such/folder" if root else "no root") as caught:
            use()
        assert "`root`" in caught.value.remedy


def test_a_sequence_named_for_testing_must_be_there(tmp_path: Path) -> None:
    write_7scenes(tmp_path)
    with pytest.raises(DataError, match=r"no sequence 'seq-09'") as caught:
        RgbdFrames(style="7scenes", test_sequences=("seq-09",)).index(tmp_path)
    assert "seq-01" in caught.value.expected


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (S3dis, {"test_area": 7}),
        (S3dis, {"form": "h5"}),
        (RgbdFrames, {}),
        (RgbdFrames, {"style": "kitti"}),
        (RgbdFrames, {"style": "tum", "stride": 0}),
        (RgbdFrames, {"style": "tum", "voxel_size": 0.0}),
        (PsbParts, {"num_points": 0}),
        (Folder, {"up_axis": "w"}),
        (Folder, {"up_axis": "y", "extensions": [".bin"]}),
        (Folder, {"up_axis": "y", "columns": ["x", "y", "z", "redd"]}),
        (Scannet, {"classes": 20}),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[Source], settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        validate(kind, settings, "test")
