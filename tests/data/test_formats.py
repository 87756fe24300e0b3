"""The readers of ModelNet's three official layouts return what was written, or say which file is wrong."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pointlab.config import validate
from pointlab.data.formats import ModelNetH5, ModelNetOff, ModelNetTxt
from pointlab.data.formats.axes import to_y_up
from pointlab.data.formats.meshes import Mesh, sample_surface
from pointlab.data.formats.off import read_off
from pointlab.data.source import Source, SourceIndex
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator

CLASSES = ["airplane", "night_stand", "sofa"]
CUBE = """\
# a cube of edge 2 around (0, 0, 1): one square, one square as triangles, four squares
8 10 0
-1 -1 0
1 -1 0
1 1 0
-1 1 0
-1 -1 2
1 -1 2
1 1 2
-1 1 2
4 3 2 1 0
3 4 5 6
3 4 6 7
4 0 1 5 4 255 0 0
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
2 0 1
1 0
3 0 0 0
"""


def random_vectors(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, 3)).astype(np.float32)


def write_h5(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)


def read_all(source: Source, root: Path) -> tuple[SourceIndex, list]:
    index = source.index(root)
    return index, source.read(root, index.rows)


@pytest.fixture
def h5_root(tmp_path: Path) -> Path:
    """Two training files of 5 and 3 clouds and one test file of 2, 6 points each, labels in both shapes."""
    labels = {"train0": [[0], [1], [2], [0], [1]], "train1": [2, 2, 0], "test0": [[1], [2]]}
    for number, (name, label) in enumerate(labels.items()):
        points = random_vectors(len(label), 6, seed=number)
        write_h5(tmp_path / f"ply_data_{name}.h5", data=points, label=np.array(label, dtype=np.uint8))
    folder = "data/modelnet40_ply_hdf5_2048"
    (tmp_path / "shape_names.txt").write_text("\n".join(CLASSES))
    (tmp_path / "train_files.txt").write_text(f"{folder}/ply_data_train0.h5\n{folder}/ply_data_train1.h5\n")
    (tmp_path / "test_files.txt").write_text(f"{folder}/ply_data_test0.h5\n")
    return tmp_path


@pytest.fixture
def txt_root(tmp_path: Path) -> Path:
    """Two training clouds and one test cloud of 8 points with normals, listed for 40 and for 10 classes."""
    for number, name in enumerate(["airplane_0001", "night_stand_0001", "night_stand_0201"]):
        folder = tmp_path / name.rpartition("_")[0]
        folder.mkdir(exist_ok=True)
        table = random_vectors(8, 2, seed=number).reshape(8, 6)
        np.savetxt(folder / f"{name}.txt", table, delimiter=",", fmt="%.9g")
    for prefix, train in [
        ("modelnet40", "airplane_0001\nnight_stand_0001\n"),
        ("modelnet10", "night_stand_0001\n"),
    ]:
        names = CLASSES if prefix == "modelnet40" else CLASSES[1:]
        (tmp_path / f"{prefix}_shape_names.txt").write_text("\n".join(names) + "\n")
        (tmp_path / f"{prefix}_train.txt").write_text(train)
        (tmp_path / f"{prefix}_test.txt").write_text("night_stand_0201\n")
    return tmp_path


@pytest.fixture
def off_root(tmp_path: Path) -> Path:
    """Cubes: a chair to train on and one to test on, and a bed whose header has lost its line break."""
    for name, header in [
        ("chair/train/chair_0001", "OFF\n"),
        ("chair/test/chair_0002", "OFF\n"),
        ("bed/train/b", "OFF"),
    ]:
        path = tmp_path / f"{name}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        comment, counts_and_body = CUBE.split("\n", 1)
        path.write_text(f"{comment}\n{header}{counts_and_body}")
    (tmp_path / "README.txt").write_text("not a class")
    return tmp_path


def test_h5_clouds_come_back_as_written_with_their_classes_and_splits(h5_root: Path) -> None:
    index, clouds = read_all(ModelNetH5(), h5_root)
    assert index.class_names == tuple(CLASSES)
    assert [row.split for row in index.rows] == ["train"] * 8 + ["test"] * 2
    assert [row.label for row in index.rows] == [0, 1, 2, 0, 1, 2, 2, 0, 1, 2] == [c.label for c in clouds]
    assert index.points_per_cloud == 6
    assert set(index.files) == {path.name for path in h5_root.iterdir()}
    assert index.card.licence

    written = np.concatenate(
        [random_vectors(count, 6, seed=number) for number, count in enumerate([5, 3, 2])]
    )
    np.testing.assert_array_equal(np.stack([cloud.points for cloud in clouds]), written)
    assert all(cloud.normals is None for cloud in clouds)


def test_h5_rows_come_back_in_the_order_asked_for_even_when_repeated(h5_root: Path) -> None:
    index, clouds = read_all(ModelNetH5(), h5_root)
    order = [9, 0, 7, 3, 3, 1, 8, 5]
    again = ModelNetH5().read(h5_root, [index.rows[place] for place in order])
    for place, cloud in zip(order, again, strict=True):
        np.testing.assert_array_equal(cloud.points, clouds[place].points)
        assert cloud.label == clouds[place].label
    assert ModelNetH5().read(h5_root, []) == []


def test_h5_normals_turn_with_their_points(h5_root: Path) -> None:
    points, normals = random_vectors(3, 6, seed=1), random_vectors(3, 6, seed=2)
    labels = np.array([2, 2, 0])
    write_h5(h5_root / "ply_data_train1.h5", data=points, label=labels, normal=normals.astype(np.float64))
    _, clouds = read_all(ModelNetH5(up_axis="z", num_points=4), h5_root)
    np.testing.assert_array_equal(clouds[6].points, to_y_up(points[1, :4], "z"))
    np.testing.assert_array_equal(clouds[6].normals, to_y_up(normals[1, :4], "z"))


@pytest.mark.parametrize("source", [ModelNetH5(num_points=4), ModelNetTxt(num_points=4)])
def test_num_points_keeps_the_first_points(source: Source, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue("h5_root" if isinstance(source, ModelNetH5) else "txt_root")
    index, clouds = read_all(source, root)
    _, whole = read_all(type(source)(), root)
    assert index.points_per_cloud == 4
    for cloud, full in zip(clouds, whole, strict=True):
        np.testing.assert_array_equal(cloud.points, full.points[:4])


def test_h5_files_of_different_lengths_have_no_common_one(h5_root: Path) -> None:
    write_h5(h5_root / "ply_data_test0.h5", data=random_vectors(1, 9), label=np.array([1]))
    index, clouds = read_all(ModelNetH5(), h5_root)
    assert index.points_per_cloud is None
    assert [len(cloud.points) for cloud in clouds] == [6] * 8 + [9]


def test_txt_clouds_come_back_as_written_with_their_classes_and_splits(txt_root: Path) -> None:
    index, clouds = read_all(ModelNetTxt(), txt_root)
    assert [(row.file, row.split, row.label) for row in index.rows] == [
        ("airplane/airplane_0001.txt", "train", 0),
        ("night_stand/night_stand_0001.txt", "train", 1),
        ("night_stand/night_stand_0201.txt", "test", 1),
    ]
    for number, cloud in enumerate(clouds):
        table = random_vectors(8, 2, seed=number).reshape(8, 6)
        np.testing.assert_array_equal(cloud.points, table[:, :3])
        np.testing.assert_array_equal(cloud.normals, table[:, 3:])
        assert cloud.label == index.rows[number].label


def test_txt_lists_of_ten_classes_number_them_anew(txt_root: Path) -> None:
    index, clouds = read_all(ModelNetTxt(classes=10, up_axis="z"), txt_root)
    assert index.class_names == ("night_stand", "sofa")
    assert [cloud.label for cloud in clouds] == [0, 0]
    table = random_vectors(8, 2, seed=1).reshape(8, 6)
    np.testing.assert_array_equal(clouds[0].points, to_y_up(table[:, :3], "z"))
    np.testing.assert_array_equal(clouds[0].normals, to_y_up(table[:, 3:], "z"))


def test_txt_missing_files_are_skipped_only_when_asked_and_counted(
    txt_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (txt_root / "airplane/airplane_0001.txt").unlink()
    with pytest.raises(DataError, match=r"1 of 3 listed files are missing.*airplane_0001\.txt"):
        ModelNetTxt().index(txt_root)
    index = ModelNetTxt(missing_files="skip").index(txt_root)
    assert [row.file for row in index.rows] == [
        f"night_stand/night_stand_0{number}01.txt" for number in (0, 2)
    ]
    assert "1 of 3" in caplog.text


def test_off_classes_and_splits_come_from_the_folders(off_root: Path) -> None:
    index = ModelNetOff().index(off_root)
    assert index.class_names == ("bed", "chair")
    assert [(row.file, row.split, row.label) for row in index.rows] == [
        ("bed/train/b.off", "train", 0),
        ("chair/train/chair_0001.off", "train", 1),
        ("chair/test/chair_0002.off", "test", 1),
    ]
    assert index.points_per_cloud == 2048


def test_off_points_lie_on_the_surface_with_outward_face_normals_and_stand_upright(off_root: Path) -> None:
    _, clouds = read_all(ModelNetOff(num_points=300), off_root)
    for cloud in clouds:
        assert cloud.points.shape == (300, 3)
        assert cloud.points[:, 1].min() >= 0  # the cube stands on the floor, y = 0
        centred = cloud.points - np.float32([0, 1, 0])
        np.testing.assert_allclose(np.abs(centred).max(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose((centred * cloud.normals).sum(axis=1), 1, atol=1e-6)
        assert cloud.normals is not None
        np.testing.assert_allclose(np.abs(cloud.normals).sum(axis=1), 1, atol=1e-6)


def test_off_clouds_depend_on_their_file_alone(off_root: Path) -> None:
    index, clouds = read_all(ModelNetOff(num_points=50), off_root)
    backwards = ModelNetOff(num_points=50).read(off_root, index.rows[::-1])[::-1]
    for cloud, again in zip(clouds, backwards, strict=True):
        np.testing.assert_array_equal(cloud.points, again.points)
    assert not np.array_equal(clouds[0].points, clouds[1].points)


def test_header_without_line_break_gives_the_same_mesh(off_root: Path) -> None:
    fused, whole = read_off(off_root / "bed/train/b.off"), read_off(off_root / "chair/train/chair_0001.off")
    np.testing.assert_array_equal(fused.vertices, whole.vertices)
    np.testing.assert_array_equal(fused.triangles, whole.triangles)


def test_polygons_are_cut_into_triangles_of_the_same_area(off_root: Path) -> None:
    mesh = read_off(off_root / "bed/train/b.off")
    assert len(mesh.triangles) == 13  # five squares, two triangles, one without area; point and line dropped
    assert np.linalg.norm(mesh.area_vectors(), axis=1).sum() == pytest.approx(6 * 4)


def test_surface_samples_follow_area_and_avoid_triangles_without_any() -> None:
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 5], [1, 0, 5], [0, 1, 5]], dtype=np.float64)
    mesh = Mesh(corners, np.array([[3, 4, 5], [0, 1, 2], [0, 0, 0]]))
    points, normals = sample_surface(mesh, 20_000, generator("areas"))
    large = points[:, 2] == 0
    assert large.mean() == pytest.approx(0.9, abs=0.01)
    np.testing.assert_allclose(points[large].mean(axis=0), [1, 1, 0], atol=0.03)
    assert (normals == [0, 0, 1]).all()


def test_turning_up_is_right_handed_and_keeps_up_up() -> None:
    turn = to_y_up(np.eye(3, dtype=np.float32), "z")
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_array_equal(turn[2], [0, 1, 0])
    np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
    np.testing.assert_array_equal(to_y_up(np.eye(3, dtype=np.float32), "y"), np.eye(3))


@pytest.mark.parametrize("kind", [ModelNetH5, ModelNetTxt, ModelNetOff])
@pytest.mark.parametrize("field", ["up_axes", "points"])
def test_unknown_fields_are_refused(kind: type[Source], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        validate(kind, {field: 1}, "dataset")


def write_text(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).write_text(text)

    return change


def replace_h5(**arrays: np.ndarray) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        write_h5(root / "ply_data_test0.h5", **arrays)

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def truncate(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-100])


POINTS, LABELS = random_vectors(2, 6), np.array([1, 2])
H5_DEFECTS = {
    "no class names": (remove("shape_names.txt"), "shape_names.txt"),
    "no list": (remove("test_files.txt"), "test_files.txt"),
    "empty list": (write_text("test_files.txt", "\n"), "test_files.txt is empty"),
    "binary list": (lambda root: (root / "test_files.txt").write_bytes(b"\xff\xfe"), "test_files.txt"),
    "absent file": (remove("ply_data_train1.h5"), "ply_data_train1.h5"),
    "file in two splits": (write_text("test_files.txt", "ply_data_train0.h5"), "ply_data_train0.h5"),
    "truncated file": (truncate("ply_data_test0.h5"), "ply_data_test0.h5"),
    "not HDF5": (write_text("ply_data_test0.h5", "<html>"), "ply_data_test0.h5"),
    "wrong key": (replace_h5(points=POINTS, label=LABELS), r"test0.h5 .*\['label', 'points'\].*'data'"),
    "no labels": (replace_h5(data=POINTS), r"test0.h5 .*\['data'\].*'label'"),
    "wrong shape": (replace_h5(data=POINTS[0], label=LABELS), r"test0.h5 .*\(6, 3\)"),
    "integers for points": (replace_h5(data=POINTS.astype(int), label=LABELS), "test0.h5 .*int64"),
    "no clouds": (replace_h5(data=POINTS[:0], label=LABELS[:0]), r"test0.h5 .*\(0, 6, 3\)"),
    "no points": (replace_h5(data=POINTS[:, :0], label=LABELS), r"test0.h5 .*\(2, 0, 3\)"),
    "too few labels": (replace_h5(data=POINTS, label=LABELS[:1]), r"test0.h5 .*\(1,\)"),
    "fractional labels": (replace_h5(data=POINTS, label=LABELS / 2), "test0.h5 .*float64"),
    "unknown label": (replace_h5(data=POINTS, label=np.array([0, 3])), "test0.h5 has label 3 in row 1"),
    "negative label": (replace_h5(data=POINTS, label=np.array([-1, 0])), "test0.h5 has label -1 in row 0"),
    "too few normals": (
        replace_h5(data=POINTS, label=LABELS, normal=POINTS[:, :3]),
        r"test0.h5 .*\(2, 3, 3\)",
    ),
}
CLOUD = "night_stand/night_stand_0201.txt"
TXT_DEFECTS = {
    "no class names": (remove("modelnet40_shape_names.txt"), "modelnet40_shape_names.txt"),
    "no list": (remove("modelnet40_train.txt"), "modelnet40_train.txt"),
    "unknown class": (write_text("modelnet40_test.txt", "lamp_0001"), "modelnet40_test.txt .*'lamp'"),
    "listed twice": (
        write_text("modelnet40_test.txt", "airplane_0001"),
        "modelnet40_test.txt .*airplane_0001",
    ),
    "empty cloud": (write_text(CLOUD, ""), "night_stand_0201.txt is empty"),
    "word for a number": (
        write_text(CLOUD, "1,2,3,4,5,6\n1,2,x,4,5,6"),
        "night_stand_0201.txt .*'x'.* row 1",
    ),
    "comment": (write_text(CLOUD, "1,2,3,4,5,6 # 7"), "night_stand_0201.txt .*row 0"),
    "uneven rows": (write_text(CLOUD, "1,2,3,4,5,6\n1,2,3,4,5"), "night_stand_0201.txt .*from 6 to 5"),
    "no normals": (write_text(CLOUD, "1,2,3\n4,5,6"), "night_stand_0201.txt .*rows of 3 numbers"),
}
MESH = "chair/test/chair_0002.off"
TRIANGLE = "0 0 0\n1 0 0\n0 1 0\n"
OFF_DEFECTS = {
    "empty file": (write_text(MESH, ""), "chair_0002.off is empty"),
    "only comments": (write_text(MESH, "# OFF"), "chair_0002.off .*comments"),
    "another format": (write_text(MESH, "ply\nformat ascii 1.0"), "chair_0002.off .*'ply'"),
    "counts missing": (write_text(MESH, "OFF\n"), "chair_0002.off .*numbers of vertices"),
    "counts unreadable": (write_text(MESH, "OFF3 one 0\n" + TRIANGLE), "chair_0002.off .*'3 one 0'"),
    "no faces": (write_text(MESH, "OFF\n3 0 0\n" + TRIANGLE), "chair_0002.off has 3 vertices and 0 faces"),
    "cut short": (write_text(MESH, "OFF\n3 2 0\n" + TRIANGLE + "3 0 1 2"), "chair_0002.off .*4 lines"),
    "word in a vertex": (
        write_text(MESH, "OFF\n3 1 0\n0 0 0\n1 y 0\n0 1 0\n3 0 1 2"),
        "chair_0002.off .*'y'",
    ),
    "face too short": (write_text(MESH, "OFF\n3 1 0\n" + TRIANGLE + "3 0 1"), "chair_0002.off .*column"),
    "absent vertex": (write_text(MESH, "OFF\n3 1 0\n" + TRIANGLE + "3 0 1 3"), "chair_0002.off .*0 to 3"),
    "negative vertex": (write_text(MESH, "OFF\n3 1 0\n" + TRIANGLE + "3 0 1 -1"), "chair_0002.off .*-1 to 1"),
    "no area": (write_text(MESH, "OFF\n3 1 0\n" + TRIANGLE + "3 0 1 1"), "chair_0002.off .*area"),
    "only lines": (write_text(MESH, "OFF\n3 1 0\n" + TRIANGLE + "2 0 1"), "chair_0002.off .*area"),
}
DEFECTS = [
    pytest.param(source, fixture, *defect, id=f"{source.kind}: {name}")
    for source, fixture, defects in [
        (ModelNetH5(), "h5_root", H5_DEFECTS),
        (ModelNetTxt(), "txt_root", TXT_DEFECTS),
        (ModelNetOff(), "off_root", OFF_DEFECTS),
    ]
    for name, defect in defects.items()
]


@pytest.mark.parametrize(("source", "fixture", "spoil", "message"), DEFECTS)
def test_a_spoilt_file_is_named_with_a_remedy(
    source: Source,
    fixture: str,
    spoil: Callable[[Path], object],
    message: str,
    request: pytest.FixtureRequest,
) -> None:
    root = request.getfixturevalue(fixture)
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        read_all(source, root)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("kind", [ModelNetH5, ModelNetTxt, ModelNetOff])
@pytest.mark.parametrize("root", [None, Path("no/such/folder")])
def test_a_missing_root_is_named_with_a_remedy(kind: type[Source], root: Path | None) -> None:
    for use in (lambda: kind().index(root), lambda: kind().read(root, [])):
        with pytest.raises(DataError, match="no/such/folder" if root else "no root") as caught:
            use()
        assert "`root`" in caught.value.remedy


@pytest.mark.parametrize(
    ("source", "fixture", "file"),
    [
        (ModelNetH5(num_points=7), "h5_root", "ply_data_train0.h5"),
        (ModelNetTxt(num_points=9), "txt_root", "airplane_0001.txt"),
    ],
)
def test_a_cloud_with_too_few_points_is_never_filled_up(
    source: Source, fixture: str, file: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(DataError, match=f"{file} has . points") as caught:
        read_all(source, request.getfixturevalue(fixture))
    assert "num_points" in caught.value.remedy


@pytest.mark.parametrize(
    ("source", "fixture"),
    [(ModelNetH5(), "h5_root"), (ModelNetTxt(), "txt_root"), (ModelNetOff(), "off_root")],
)
def test_a_file_that_vanished_after_indexing_is_named(
    source: Source, fixture: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(fixture)
    index = source.index(root)
    (root / index.rows[-1].file).unlink()
    with pytest.raises(DataError, match=index.rows[-1].file):
        source.read(root, index.rows)


def test_an_h5_file_that_shrank_after_indexing_is_named(h5_root: Path) -> None:
    index = ModelNetH5().index(h5_root)
    write_h5(h5_root / "ply_data_test0.h5", data=POINTS[:1], label=LABELS[:1])
    with pytest.raises(DataError, match=r"test0.h5 holds 1 clouds.*0 to 1"):
        ModelNetH5().read(h5_root, index.rows)


def test_txt_without_any_listed_file_is_an_error_even_when_skipping(txt_root: Path) -> None:
    for path in txt_root.glob("*/*.txt"):
        path.unlink()
    with pytest.raises(DataError, match="3 of 3"):
        ModelNetTxt(missing_files="skip").index(txt_root)


def test_off_root_above_the_classes_is_an_error(off_root: Path) -> None:
    (off_root / "ModelNet10").mkdir()
    for name in ("bed", "chair"):
        (off_root / name).rename(off_root / "ModelNet10" / name)
    with pytest.raises(DataError, match=f"{off_root.name} holds no meshes") as caught:
        ModelNetOff().index(off_root)
    assert "root" in caught.value.remedy
