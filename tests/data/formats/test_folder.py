"""A folder of the user's own comes back as it was written, whatever its formats and its layout."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from pointlab.config import validate
from pointlab.data.dataset import DatasetConfig
from pointlab.data.formats import Folder
from pointlab.data.formats.axes import to_y_up, y_up_from
from pointlab.data.formats.cloud_files import EXTENSIONS, read_cloud_file
from pointlab.data.sample import Cloud
from pointlab.data.source import Split
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator
from written_clouds import CLOUD_FILES, CUBE_AREA, MESH_FILES, make, write_cube, write_las, write_npy


def read(path: Path, num_points: int | None = 50, **settings: object) -> Cloud:
    return read_cloud_file(path, num_points, generator("test"), **settings)


@pytest.mark.parametrize("name", CLOUD_FILES)
def test_every_format_returns_points_normals_colours_and_labels_as_written(name: str, tmp_path: Path) -> None:
    file, write = CLOUD_FILES[name]
    expected = write(tmp_path / file, make())
    cloud = read(tmp_path / file)
    np.testing.assert_array_equal(cloud.points, expected.points)
    for found, written in [
        (cloud.normals, expected.normals),
        (cloud.colours, None if expected.colours is None else expected.colours / 255),
        (cloud.point_labels, expected.labels),
    ]:
        assert (found is None) == (written is None)
        if written is not None:
            np.testing.assert_allclose(found, written, atol=1e-6)


def test_the_table_of_formats_covers_every_extension() -> None:
    files = [file for file, _ in (*CLOUD_FILES.values(), *MESH_FILES.values())]
    assert {Path(file).suffix.lower() for file in files} == set(EXTENSIONS)


@pytest.mark.parametrize("name", MESH_FILES)
def test_meshes_are_sampled_on_their_surface_with_outward_normals(name: str, tmp_path: Path) -> None:
    file, settings = MESH_FILES[name]
    write_cube(tmp_path / file, **settings)
    cloud = read(tmp_path / file, num_points=400)
    assert cloud.points.shape == (400, 3)
    np.testing.assert_allclose(np.abs(cloud.points).max(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((cloud.points * cloud.normals).sum(axis=1), 1, atol=1e-6)
    share = (np.abs(cloud.points[:, 0]) > 1 - 1e-6).mean() * CUBE_AREA
    assert share == pytest.approx(CUBE_AREA / 3, abs=2)  # two of six sides


@pytest.mark.parametrize("name", MESH_FILES)
def test_without_a_number_of_points_the_vertices_are_taken_in_their_order(name: str, tmp_path: Path) -> None:
    file, settings = MESH_FILES[name]
    write_cube(tmp_path / file, **settings)
    box = trimesh.creation.box((2, 2, 2))
    written = box.triangles.reshape(-1, 3) if "stl" in name else box.vertices
    np.testing.assert_allclose(read(tmp_path / file, num_points=None).points, written)


def test_an_obj_file_keeps_polygons_relative_numbers_and_all_its_materials(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_text(
        "mtllib absent.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv -1 0.5 0\nusemtl red\n"
        "f 1 2 3 4 5\nusemtl blue\nf -5 -4 \\\n -3\n"
    )
    cloud = read(path, num_points=600)
    assert (cloud.points[:, 0] < 0).mean() == pytest.approx(0.5 / 2, abs=0.06)  # 0.5 of 1.5 + 0.5
    np.testing.assert_array_equal(cloud.normals, np.tile([0, 0, 1], (600, 1)))


@pytest.mark.parametrize("separator", [" ", "   ", ",", ", ", ";", "; ", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_text_may_be_separated_by_blanks_commas_semicolons_or_tabs(
    separator: str, ending: str, tmp_path: Path
) -> None:
    rows = [["1", "2.5", "-3e-1"], ["4", "5", "6"]]
    lines = ["# a comment", "// another", *(separator.join(row) for row in rows), ""]
    (tmp_path / "a.xyz").write_bytes(ending.join(lines).encode())
    np.testing.assert_array_equal(read(tmp_path / "a.xyz").points, np.float32([[1, 2.5, -0.3], [4, 5, 6]]))


def test_six_columns_are_normals_if_of_unit_length_and_colours_if_bytes_or_fractions(tmp_path: Path) -> None:
    cloud = make()
    for third, expected in [
        (cloud.normals, "normals"),
        (cloud.colours, "colours"),
        (cloud.colours / 255, "colours"),
    ]:
        np.save(tmp_path / "a.npy", np.concatenate([cloud.points, third], axis=1))
        found = read(tmp_path / "a.npy")
        assert (found.normals is not None, found.colours is not None) == (
            expected == "normals",
            expected == "colours",
        )
        scale = 255 if third is cloud.colours else 1
        np.testing.assert_allclose(getattr(found, expected), third / scale, atol=1e-6)


def test_columns_and_arrays_say_what_is_read(tmp_path: Path) -> None:
    table = np.column_stack([make().points, np.arange(12), make().labels])
    np.save(tmp_path / "a.npy", table)
    columns = ("z", "y", "x", "_", "label")
    cloud = read(tmp_path / "a.npy", columns=columns)
    np.testing.assert_array_equal(cloud.points, make().points[:, ::-1])
    np.testing.assert_array_equal(cloud.point_labels, make().labels)
    assert read(tmp_path / "a.npy", columns=columns, arrays=()).point_labels is None


@pytest.mark.parametrize("extension", [".npy", ".off"])
def test_tiles_of_a_map_keep_their_places_and_their_detail_with_a_shift(
    extension: str, tmp_path: Path
) -> None:
    corner, shift = np.array([500_000.0, 5_400_000.0, 300.0]), (-500_000.0, -5_400_000.0, -300.0)
    for tile in (0, 1):
        places = np.eye(3) / 2 + 64 * tile + corner
        if extension == ".npy":
            np.save(tmp_path / f"{tile}.npy", places)
        else:
            rows = [" ".join(map(repr, row)) for row in places.tolist()]
            (tmp_path / f"{tile}.off").write_text("\n".join(["OFF", "3 1 0", *rows, "3 0 1 2"]))
    source = Folder(up_axis="y", shift=shift, num_points=None)
    first, second = source.read(tmp_path, source.index(tmp_path).rows)
    np.testing.assert_allclose(first.points, np.eye(3) / 2, atol=1e-6)
    np.testing.assert_allclose(second.points, np.eye(3) / 2 + 64, atol=1e-5)


def test_meshes_far_away_are_sampled_as_finely_as_near_ones(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 5400000 0 0\nv 5400001 0 0\nv 5400000 1 0\nf 1 2 3\n")
    points = read(tmp_path / "a.obj", shift=(-5_400_000, 0, 0)).points
    assert len(np.unique(points[:, 0])) == 50
    assert (points >= 0).all()
    assert (points <= 1).all()


def test_empty_cells_of_a_pcd_grid_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cloud = make()
    cloud.points[[2, 5]] = np.nan
    CLOUD_FILES["binary pcd"][1](tmp_path / "a.pcd", cloud)
    found = read(tmp_path / "a.pcd")
    kept = np.delete(np.arange(12), [2, 5])
    np.testing.assert_array_equal(found.points, cloud.points[kept])
    np.testing.assert_array_equal(found.point_labels, cloud.labels[kept])
    assert "2 of 12" in caplog.text


def test_normals_along_axes_are_told_by_a_negative_one_and_fractions_by_what_is_between(
    tmp_path: Path,
) -> None:
    points = make().points[:3]
    for third, expected in (([0, 0, -1], "normals"), ([0, 0, 0.5], "colours")):
        np.save(tmp_path / "a.npy", np.concatenate([points, [[1, 0, 0], [0, 1, 0], third]], axis=1))
        assert getattr(read(tmp_path / "a.npy"), expected) is not None


def test_arrays_of_an_npz_may_be_stored_column_by_column(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", points=np.asfortranarray(make().points), id=np.array("a"))
    np.testing.assert_array_equal(read(tmp_path / "a.npz").points, make().points)


def test_a_mark_of_the_encoding_in_front_of_a_text_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"\xef\xbb\xbf1 2 3\n4 5 6\n")
    np.testing.assert_array_equal(read(tmp_path / "a.xyz").points, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("up_axis", ["x", "-x", "y", "-y", "z", "-z"])
def test_points_and_normals_of_a_folder_turn_alike(up_axis: str, tmp_path: Path) -> None:
    written = CLOUD_FILES["binary ply"][1](tmp_path / "a.ply", make())
    source = Folder(up_axis=up_axis)
    (cloud,) = source.read(tmp_path, source.index(tmp_path).rows)
    np.testing.assert_array_equal(cloud.points, to_y_up(written.points, up_axis))
    np.testing.assert_allclose(cloud.normals, to_y_up(written.normals, up_axis), atol=1e-6)
    turn = y_up_from(up_axis)
    np.testing.assert_allclose(cloud.points, written.points @ turn[:3, :3].T, atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1)
    up = (-1 if "-" in up_axis else 1) * np.eye(3)["xyz".index(up_axis[-1])]
    np.testing.assert_array_equal(turn[:3, :3] @ up, [0, 1, 0])


LAYOUTS: dict[str, tuple[list[str], list[tuple[Split, str | None]]]] = {
    "class/split": (
        ["bed/train/1", "bed/test/1", "chair/train/1", "chair/VALID/1"],
        [("test", "bed"), ("train", "bed"), ("validation", "chair"), ("train", "chair")],
    ),
    "split/class": (
        ["test/bed/1", "train/bed/1", "train/chair/1", "val/chair/1"],
        [("test", "bed"), ("train", "bed"), ("train", "chair"), ("validation", "chair")],
    ),
    "class": (["bed/1", "bed/2", "chair/1"], [("train", "bed"), ("train", "bed"), ("train", "chair")]),
    "split": (["test/1", "train/1", "validation/1"], [("test", None), ("train", None), ("validation", None)]),
    "flat": (["1", "2"], [("train", None), ("train", None)]),
}


def write_tree(root: Path, stems: list[str]) -> None:
    for seed, stem in enumerate(stems):
        path = root / f"{stem}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npy(path, make(seed=seed))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_said", [False, True])
def test_layouts_are_found_and_give_classes_and_splits(layout: str, is_said: bool, tmp_path: Path) -> None:
    stems, expected = LAYOUTS[layout]
    write_tree(tmp_path, stems)
    (tmp_path / ".hidden.npy").write_text("of the file system")
    (tmp_path / "README.md").write_text("not a cloud")
    index = Folder(up_axis="y", layout=layout if is_said else "auto").index(tmp_path)
    names = [None if row.label is None else index.class_names[row.label] for row in index.rows]
    assert list(zip([row.split for row in index.rows], names, strict=True)) == expected
    assert index.files == tuple(row.file for row in index.rows)
    assert not index.is_grouped


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("Training", "dev", "TESTING"), ("tr", "eval", "te"), ("TRAIN", "VAL", "Test")],
)
@pytest.mark.parametrize("order", ["{0}/{1}/1", "{1}/{0}/1", "{0}/1"])
def test_the_usual_words_for_splits_are_known_in_any_case(
    train: str, validation: str, test: str, order: str, tmp_path: Path
) -> None:
    write_tree(tmp_path, [order.format(split, "bed") for split in (train, validation, test)])
    index = Folder(up_axis="y").index(tmp_path)
    assert {row.file: row.split for row in index.rows} == {
        f"{order.format(word, 'bed')}.npy": split
        for word, split in ((train, "train"), (validation, "validation"), (test, "test"))
    }
    assert index.class_names == (("bed",) if "{1}" in order else ())


def test_a_layout_that_is_said_may_have_classes_called_like_splits(tmp_path: Path) -> None:
    write_tree(tmp_path, ["train/1", "bus/1"])
    assert Folder(up_axis="y", layout="class").index(tmp_path).class_names == ("bus", "train")


def test_texts_about_a_set_are_no_clouds_and_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_tree(tmp_path, ["bed/1", "chair/1"])
    (tmp_path / "about the scans.txt").write_text("Scanned in 3 rooms.\n")
    (tmp_path / "chair" / "README.txt").write_text("Chairs\n1 2 times\n")
    (tmp_path / "chair" / "2.txt").write_text("# x y z\n1 2 3\n")
    index = Folder(up_axis="y").index(tmp_path)
    assert [row.file for row in index.rows] == ["bed/1.npy", "chair/1.npy", "chair/2.txt"]
    assert "about the scans.txt, chair/README.txt" in caplog.text


@pytest.mark.parametrize("file", ["chair/damaged.txt", "flat.txt"])
def test_a_text_without_numbers_among_clouds_is_not_passed_over(file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("nothing\n")
    assert Folder(up_axis="y").index(tmp_path).files == (file,)


def test_a_text_of_numbers_beside_the_folders_is_not_passed_over(tmp_path: Path) -> None:
    write_tree(tmp_path, ["bed/1"])
    (tmp_path / "readme.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match="different depths"):
        Folder(up_axis="y").index(tmp_path)


def test_classes_follow_the_order_that_is_given_and_numbers_their_value(tmp_path: Path) -> None:
    write_tree(tmp_path, ["10/a", "9/a"])
    assert Folder(up_axis="y").index(tmp_path).class_names == ("9", "10")
    index = Folder(up_axis="y", class_names=("10", "unused", "9")).index(tmp_path)
    assert [row.label for row in index.rows] == [0, 2]


def test_a_csv_gives_labels_splits_groups_and_captions(tmp_path: Path) -> None:
    write_tree(tmp_path, ["x/1", "x/2", "y/3"])
    (tmp_path / "index.csv").write_bytes(
        "\ufeffpath;label;split;group;caption;more\r\n"
        'x/1.npy;lamp;train;a;"a lamp; small";7\r\ny/3.npy;bed;val;b;;7\r\n'
        "x/2.npy;lamp;test;;a lamp;7\r\n".encode()
    )
    source = Folder(up_axis="y", csv="index.csv")
    index = source.index(tmp_path)
    assert index.class_names == ("bed", "lamp")
    assert [(row.file, row.split, row.label, row.group) for row in index.rows] == [
        ("x/1.npy", "train", 1, "a"),
        ("y/3.npy", "validation", 0, "b"),
        ("x/2.npy", "test", 1, ""),
    ]
    assert index.is_grouped
    assert "index.csv" in index.files
    assert [cloud.caption for cloud in source.read(tmp_path, index.rows)] == ["a lamp; small", None, "a lamp"]


def write_pictured_table(root: Path, *pictures: str) -> Folder:
    """Clouds x0.npy, x1.npy ... without classes, each with what its field of pictures says."""
    write_tree(root, [f"x{number}" for number in range(len(pictures))])
    rows = [f"x{number}.npy,{field},{'' if field else 'a lamp'}" for number, field in enumerate(pictures)]
    (root / "index.csv").write_text("\n".join(["path,picture,caption", *rows]))
    return Folder(up_axis="y", csv="index.csv", columns_of_csv={"label": None})


def test_a_csv_names_one_or_several_pictures_and_counts_the_clouds_that_lack_what_others_have(
    tmp_path: Path,
) -> None:
    source = write_pictured_table(tmp_path, "img/a.png | img/b.jpg", "", "img/a.png")
    (tmp_path / "img").mkdir()
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (6, 4)).save(tmp_path / "img" / name)
    index = source.index(tmp_path)
    found = source.read(tmp_path, index.rows)
    assert [[view.name for view in cloud.views] for cloud in found] == [["a", "b"], [], ["a"]]
    assert [(cloud.caption, cloud.label) for cloud in found] == [(None, None), ("a lamp", None), (None, None)]
    assert found[0].views[0].colour.content == (tmp_path / "img/a.png").read_bytes()
    assert index.files == ("x0.npy", "x1.npy", "x2.npy", "index.csv", "img/a.png", "img/b.jpg")
    assert index.defects == {"cloud without a picture": 1, "cloud without a caption": 2}
    assert set(index.defects) <= set(index.card.known_defects)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("img/none.png", r"index\.csv names 1 pictures that are missing, first 'img/none\.png'"),
        ("../a.png", r"Line 2 of .*index\.csv has the path '\.\./a\.png'"),
        ("a.png|a.png", r"Line 2 of .*index\.csv names a picture twice"),
        ("x0.npy", r"x0\.npy cannot be read as a picture"),
        ("a.png|b.png", "differ in size: .*6 x 4.*, .*5 x 4"),
    ],
)
def test_a_picture_that_a_csv_names_wrongly_is_told(field: str, message: str, tmp_path: Path) -> None:
    for name, width in (("a.png", 6), ("b.png", 5)):
        Image.new("RGB", (width, 4)).save(tmp_path / name)
    with pytest.raises(DataError, match=message):
        write_pictured_table(tmp_path, field).index(tmp_path)


def test_a_column_of_pictures_that_is_the_usual_one_leaves_the_names_of_prepared_sets() -> None:
    def recipe(**columns: str | None) -> str:
        source = Folder(up_axis="y", csv="index.csv", columns_of_csv=columns)
        return DatasetConfig(name="mine", source=source).recipe()

    assert recipe() == "86cb8ea485a68069", "as before there was this column"
    assert len({recipe(), recipe(picture="photo"), recipe(picture=None)}) == 3


def test_columns_of_a_csv_may_have_other_names_and_optional_ones_be_absent(tmp_path: Path) -> None:
    write_tree(tmp_path, ["1", "2"])
    (tmp_path / "list.csv").write_text("file,class\n1.npy,a\n2.npy,b\n")
    source = Folder(up_axis="y", csv="list.csv", columns_of_csv={"path": "file", "label": "class"})
    index = source.index(tmp_path)
    assert [(row.split, row.label, row.group) for row in index.rows] == [("train", 0, ""), ("train", 1, "")]
    assert not index.is_grouped


def test_headers_of_a_csv_match_in_any_case_and_captions_keep_their_line_breaks(tmp_path: Path) -> None:
    write_tree(tmp_path, ["1", "2"])
    (tmp_path / "list.csv").write_bytes(
        b'\xef\xbb\xbf"Path", LABEL ,Split,Caption\r\n\r\n1.npy,a,TEST,"one\r\n two"\r\n2.npy,b,dev,\r\n'
    )
    source = Folder(up_axis="y", csv="list.csv")
    index = source.index(tmp_path)
    assert [(row.split, row.label) for row in index.rows] == [("test", 0), ("validation", 1)]
    assert [cloud.caption for cloud in source.read(tmp_path, index.rows)] == ["one\r\n two", None]


def test_rows_are_read_in_the_order_asked_for_and_meshes_depend_on_their_file_alone(tmp_path: Path) -> None:
    for name in ("a.off", "b.off"):
        write_cube(tmp_path / name)
    source = Folder(up_axis="y", num_points=30)
    index = source.index(tmp_path)
    assert index.points_per_cloud == 30
    first, second = source.read(tmp_path, index.rows)
    again = source.read(tmp_path, [index.rows[1], index.rows[0]])
    np.testing.assert_array_equal(again[0].points, second.points)
    np.testing.assert_array_equal(again[1].points, first.points)
    assert not np.array_equal(first.points, second.points)


def test_lengths_are_not_promised_where_files_may_differ(tmp_path: Path) -> None:
    write_cube(tmp_path / "a.off")
    write_las(tmp_path / "b.las", make())
    assert Folder(up_axis="z").index(tmp_path).points_per_cloud is None


def test_origin_and_licence_become_the_card(tmp_path: Path) -> None:
    write_tree(tmp_path, ["1"])
    card = Folder(up_axis="y", origin="my scans", licence="CC0").index(tmp_path).card
    assert (card.title, card.licence) == ("my scans", "CC0")
    assert Folder(up_axis="y").index(tmp_path).card.licence == "not stated"


def test_the_up_axis_must_be_said() -> None:
    with pytest.raises(ConfigError, match="up_axis"):
        validate(DatasetConfig, {"name": "mine", "source": {"kind": "folder"}}, "test")


def test_a_row_whose_file_vanished_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, ["1"])
    index = Folder(up_axis="y").index(tmp_path)
    (tmp_path / "1.npy").unlink()
    with pytest.raises(DataError, match=r"1\.npy"):
        Folder(up_axis="y").read(tmp_path, index.rows)
