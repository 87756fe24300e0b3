"""Published sets of objects come back as written, with the classes, splits and groups of their papers."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from pointlab.config import validate
from pointlab.data.catalogue import CATALOGUE, MODELNET
from pointlab.data.catalogue.shapenet import PART_NAMES, SYNSETS
from pointlab.data.corruptions import SUITES
from pointlab.data.dataset import DatasetConfig
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
from pointlab.data.formats.axes import to_y_up
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.data.source import Source
from pointlab.errors import ConfigError, DataError
from written_objects import (
    AIRPLANE,
    CHAIR,
    DASHED,
    FIXED_POINT,
    LISTED,
    LONE_H5,
    RELEASES,
    TRIPLETS,
    clouds,
    fixed_point_arrays,
    part_table,
    read_all,
    vectors,
    write_dat,
    write_fewshot,
    write_h5,
    write_lone_h5,
    write_modelnet40_c,
    write_modelnet_c,
    write_npz,
    write_pickle,
    write_scanobjectnn,
    write_shapenet55,
    write_shapenet_part,
)


def release(kind: str, root: Path) -> Source:
    source, write = RELEASES[kind]
    write(root)
    return source


@pytest.mark.parametrize("kind", RELEASES)
def test_rows_come_back_in_the_order_asked_for_even_when_repeated(kind: str, tmp_path: Path) -> None:
    source = release(kind, tmp_path)
    index, found = read_all(source, tmp_path)
    order = [len(index.rows) - 1, 0, 1, 1, 0]
    again = source.read(tmp_path, [index.rows[place] for place in order])
    for place, cloud in zip(order, again, strict=True):
        np.testing.assert_array_equal(cloud.points, found[place].points)
        assert cloud.label == found[place].label == index.rows[place].label
        assert cloud.points.dtype == np.float32
        assert cloud.points.flags.c_contiguous
    assert source.read(tmp_path, []) == []


@pytest.mark.parametrize("kind", RELEASES)
def test_the_files_that_a_set_depends_on_are_all_named_and_all_there(kind: str, tmp_path: Path) -> None:
    index = release(kind, tmp_path).index(tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(index.files) == sorted(written)
    assert {row.file for row in index.rows} <= written


@pytest.mark.parametrize("kind", RELEASES)
def test_a_config_names_the_kind_and_its_card_names_it_too(kind: str, tmp_path: Path) -> None:
    source = release(kind, tmp_path)
    settings = {"name": "a", "source": source.model_dump()}
    assert validate(DatasetConfig, settings, "dataset").source == source
    card = source.index(tmp_path).card
    assert card.name == "unknown" or kind in CATALOGUE[card.name].kinds
    assert (card.name == "unknown") == (kind in {"npz", "modelnet_h5"})  # these say nothing of their origin


@pytest.mark.parametrize("kind", RELEASES)
@pytest.mark.parametrize("root", [None, Path("no/such/folder")])
def test_a_missing_root_is_named_with_a_remedy(kind: str, root: Path | None) -> None:
    source = RELEASES[kind][0]
    for use in (lambda: source.index(root), lambda: source.read(root, [])):
        with pytest.raises(DataError, match="no/such/folder" if root else "no root") as caught:
            use()
        assert "`root`" in caught.value.remedy


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_dat_clouds_come_back_with_normals_labels_and_splits(protocol: int, tmp_path: Path) -> None:
    write_dat(tmp_path, protocol)
    index, found = read_all(ModelNetDat(), tmp_path)
    assert index.class_names == ("airplane", "bed", "sofa")
    assert [(row.split, row.label) for row in index.rows] == [
        *(("train", label) for label in (0, 2, 1)),
        *(("test", label) for label in (1, 0)),
    ]
    assert index.points_per_cloud == 8
    for cloud, written in zip(found, clouds(3, 0) + clouds(2, 1), strict=True):
        np.testing.assert_array_equal(cloud.points, written[:, :3])
        np.testing.assert_array_equal(cloud.normals, written[:, 3:])


def test_dat_points_turn_with_their_normals_and_the_first_ones_are_kept(tmp_path: Path) -> None:
    write_dat(tmp_path)
    index, found = read_all(ModelNetDat(up_axis="z", num_points=5), tmp_path)
    written = clouds(3, 0)[1][:5]
    assert index.points_per_cloud == 5
    np.testing.assert_array_equal(found[1].points, to_y_up(written[:, :3], "z"))
    np.testing.assert_array_equal(found[1].normals, to_y_up(written[:, 3:], "z"))


def test_dat_of_ten_classes_has_files_of_its_own(tmp_path: Path) -> None:
    write_dat(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("40_", "10_").replace("8192", "1024")))
    assert len(ModelNetDat(classes=10, points_in_name=1024).index(tmp_path).rows) == 5


@pytest.mark.parametrize("folder", ["5way_10shot", "5way10shot"])
def test_few_shot_folds_have_their_classes_whatever_the_folder_is_called(
    folder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_fewshot(tmp_path, folder)
    index, found = read_all(ModelNetFewshot(), tmp_path)
    assert index.class_names == tuple(CLASSES_40[number] for number in (7, 0, 39, 3, 12))
    assert [row.split for row in index.rows] == ["train"] * 5 + ["test"] * 5
    assert len({(row.file, row.row) for row in index.rows}) == 10
    for cloud, written in zip(found, clouds(5, 0) + clouds(5, 1), strict=True):
        np.testing.assert_array_equal(cloud.points, written[:, :3])
    is_misnamed = folder == "5way10shot"
    assert dict(index.defects) == ({"folder without underscore": 1} if is_misnamed else {})
    assert ("underscore" in caplog.text) == is_misnamed
    assert set(index.defects) <= set(index.card.known_defects)


def test_all_few_shot_folds_are_groups_of_a_set_with_the_classes_of_modelnet40(tmp_path: Path) -> None:
    classes = [[7, 0, 39, 3, 12], [1, 2, 3, 4, 5]]
    for fold in range(10):
        samples = [
            (cloud, label, classes[fold % 2][label]) for label, cloud in enumerate(clouds(5, seed=fold))
        ]
        write_pickle(tmp_path / f"5way_10shot/{fold}.pkl", {"train": samples, "test": samples[:1]})
    index, found = read_all(ModelNetFewshot(fold=None), tmp_path)
    assert index.class_names == CLASSES_40
    assert len(index.files) == 10
    assert {row.group for row in index.rows} == {f"fold-{fold}" for fold in range(10)}
    of_the_third = [row for row in index.rows if row.group == "fold-3"]
    assert [row.label for row in of_the_third] == [1, 2, 3, 4, 5, 1]
    assert [row.split for row in of_the_third] == ["train"] * 5 + ["test"]
    for row, cloud in zip(index.rows, found, strict=True):
        assert cloud.label == row.label
    third = found[index.rows.index(of_the_third[1])]
    np.testing.assert_array_equal(third.points, clouds(5, seed=3)[1][:, :3])


def test_few_shot_clouds_without_normals_have_none(tmp_path: Path) -> None:
    samples = [(cloud, label, label) for label, cloud in enumerate(clouds(5, 3, channels=3))]
    write_pickle(tmp_path / "5way_20shot/3.pkl", {"train": samples, "test": samples})
    _, found = read_all(ModelNetFewshot(shot=20, fold=3), tmp_path)
    assert found[2].normals is None
    np.testing.assert_array_equal(found[2].points, clouds(5, 3, channels=3)[2])


ENDINGS = {
    "obj_bg": ("main_split", ""),
    "obj_only": ("main_split_nobg", ""),
    "pb_t25": ("main_split", "_augmented25_norot"),
    "pb_t25_r": ("main_split", "_augmented25rot"),
    "pb_t50_r": ("main_split", "_augmentedrot"),
    "pb_t50_rs": ("main_split", "_augmentedrot_scale75"),
}


@pytest.mark.parametrize("variant", ENDINGS)
def test_scanobjectnn_variants_are_found_by_name_with_their_official_counts(
    variant: str, tmp_path: Path
) -> None:
    main, ending = ENDINGS[variant]
    write_scanobjectnn(tmp_path / "h5_files", ending, main)
    index, found = read_all(ScanObjectNN(variant=variant), tmp_path)
    assert len(index.class_names) == 15
    assert (index.class_names[0], index.class_names[3], index.class_names[14]) == ("bag", "cabinet", "toilet")
    assert [(row.split, row.label) for row in index.rows] == [
        *(("train", label) for label in (14, 0, 3, 3)),
        *(("test", label) for label in (2, 9)),
    ]
    np.testing.assert_array_equal(found[5].points, vectors(2, 9, seed=1)[1])
    counts = {"obj_bg": 2309, "obj_only": 2309, "pb_t50_rs": 11416}
    assert index.card.rows.get("train") == counts.get(variant)


def test_scanobjectnn_mask_tells_the_object_from_its_background(tmp_path: Path) -> None:
    write_scanobjectnn(tmp_path)
    index, found = read_all(ScanObjectNN(num_points=7), tmp_path)
    assert index.part_names == ("background", "object")
    assert index.points_per_cloud == 7
    for cloud in found:
        np.testing.assert_array_equal(cloud.point_labels, [0, 1, 1, 0, 1, 1, 0])


def test_scanobjectnn_without_background_is_another_folder_and_may_have_no_mask(tmp_path: Path) -> None:
    for prefix in ("training", "test"):
        path = tmp_path / f"main_split_nobg/{prefix}_objectdataset_augmentedrot.h5"
        write_h5(path, data=vectors(2, 4), label=np.array([0, 1]))
    index, found = read_all(ScanObjectNN(variant="pb_t50_r", background=False), tmp_path)
    assert index.part_names == ()
    assert all(cloud.point_labels is None for cloud in found)
    with pytest.raises(ConfigError, match="obj_only"):
        validate(ScanObjectNN, {"variant": "obj_bg", "background": False}, "source")


def test_shapenet55_rows_have_classes_pictures_and_texts(tmp_path: Path) -> None:
    write_shapenet55(tmp_path)
    index, found = read_all(TRIPLETS, tmp_path)
    assert index.class_names == ("airplane", "chair")
    names = LISTED["train"] + LISTED["test"]
    assert [row.file for row in index.rows] == [f"shapenet_pc/{name}.npy" for name in names]
    assert [row.split for row in index.rows] == ["train"] * 3 + ["test"] * 2
    for number, (name, cloud) in enumerate(zip(names, found, strict=True)):
        np.testing.assert_array_equal(cloud.points, vectors(12, seed=number))
        assert cloud.label == index.class_names.index("chair" if name.startswith(CHAIR) else "airplane")
        assert cloud.caption == f"text {name[:8]}"
        (view,) = cloud.views
        assert view.colour is not None
        assert view.colour.content == (tmp_path / f"shapenet_img/{name}.png").read_bytes()
        assert (view.colour.camera.width, view.colour.camera.height) == (6, 4)


def test_a_rendering_by_an_unknown_camera_has_no_numbers_to_project_with(tmp_path: Path) -> None:
    write_shapenet55(tmp_path)
    _, found = read_all(TRIPLETS, tmp_path)
    picture = found[0].views[0].colour
    assert picture is not None
    assert np.isnan(picture.pose).all()
    assert np.isnan([picture.camera.fx, picture.camera.fy, picture.camera.cx, picture.camera.cy]).all()


def test_shapenet55_rows_without_a_model_are_dropped_by_name_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_shapenet55(tmp_path)
    index = ShapeNet55().index(tmp_path)
    assert dict(index.defects) == {"list row without a model": 2}
    assert set(index.defects) <= set(index.card.known_defects)
    assert "2 rows" in caplog.text
    assert any(DASHED in row.file for row in index.rows)


@pytest.mark.parametrize(
    ("subset", "folder"),
    [("34", "ShapeNet-34"), ("unseen21", "ShapeNet-Unseen21"), ("unseen21", "ShapeNetUnseen21")],
)
def test_shapenet_subsets_number_only_their_own_categories(subset: str, folder: str, tmp_path: Path) -> None:
    write_shapenet55(tmp_path)
    (tmp_path / "ShapeNet-55").rename(tmp_path / folder)
    (tmp_path / folder / "train.txt").write_text(f"{CHAIR}-a1.npy\n")
    (tmp_path / folder / "test.txt").write_text(f"{CHAIR}-c3.npy\n")
    index = ShapeNet55(subset=subset).index(tmp_path)
    assert index.class_names == ("chair",)
    assert {row.label for row in index.rows} == {0}


def test_the_tables_of_shapenet_are_whole() -> None:
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    assert all(re.fullmatch(r"0\d{7}", synset) for synset in SYNSETS)
    assert list(SYNSETS) == sorted(SYNSETS)
    assert len(PART_NAMES) == 50
    assert PART_NAMES.index("Chair:0") == 12
    assert PART_NAMES.index("Table:2") == 49


@pytest.mark.parametrize(("delimiter", "newline"), [(" ", "\n"), (",", "\n"), (", ", "\n"), ("\t", "\r\n")])
def test_shapenet_part_text_is_read_whatever_stands_between_the_numbers(
    delimiter: str, newline: str, tmp_path: Path
) -> None:
    write_shapenet_part(tmp_path, delimiter, newline)
    index, found = read_all(ShapeNetPart(), tmp_path)
    assert [(row.file, row.split, row.label) for row in index.rows] == [
        ("00000000/a.txt", "train", 0),
        ("00000004/c.txt", "train", 4),
        ("00000000/v.txt", "validation", 0),
        ("00000000/t.txt", "test", 0),
    ]
    assert index.part_names == PART_NAMES
    for cloud, table in zip(
        found, [part_table(0, (0, 3)), part_table(0, (12, 15)), part_table(1, (0, 3))], strict=False
    ):
        np.testing.assert_array_equal(cloud.points, table[:, :3])
        np.testing.assert_array_equal(cloud.normals, table[:, 3:6])
        np.testing.assert_array_equal(cloud.point_labels, table[:, 6])


def test_other_sets_in_the_layout_of_shapenet_part_name_their_own_parts(tmp_path: Path) -> None:
    write_shapenet_part(tmp_path)
    (tmp_path / "synsetoffset2category.txt").write_text("Ant 00000004\nBird 00000000\n")
    names = [f"part {number}" for number in range(16)]
    (tmp_path / "part_names.json").write_text(f'{{"part_names": {names}}}'.replace("'", '"'))
    index, found = read_all(ShapeNetPart(up_axis="z", num_points=2), tmp_path)
    assert index.part_names == tuple(names)
    assert [cloud.label for cloud in found] == [1, 0, 1, 1]
    assert index.card.name == "unknown"
    np.testing.assert_array_equal(found[0].points, to_y_up(part_table(0, (0, 3))[:2, :3], "z"))
    assert "part_names.json" in index.files


def test_modelnet_c_groups_are_named_by_corruption_and_severity(tmp_path: Path) -> None:
    write_modelnet_c(tmp_path)
    index, found = read_all(ModelNetC(), tmp_path)
    names = {f"{name}/{severity}" for name in SUITES["modelnet_c"] for severity in range(1, 6)}
    assert {row.group for row in index.rows} == {"clean"} | names
    assert {row.split for row in index.rows} == {"test"}
    assert index.class_names == CLASSES_40
    assert len(index.rows) == 36 * 2
    by_group = {row.group: cloud for row, cloud in zip(index.rows, found, strict=True) if row.row == 1}
    assert by_group["jitter/3"].label == 39
    np.testing.assert_array_equal(by_group["jitter/3"].points, vectors(2, 8 + 1 + 2, seed=12)[1])
    assert index.points_per_cloud is None


def test_modelnet40_c_groups_are_named_by_corruption_and_severity(tmp_path: Path) -> None:
    write_modelnet40_c(tmp_path)
    index, found = read_all(ModelNet40C(), tmp_path)
    names = {f"{name}/{severity}" for name in SUITES["modelnet40_c"] for severity in range(1, 6)}
    assert {row.group for row in index.rows} == {"clean"} | names
    assert {row.split for row in index.rows} == {"test"}
    by_group = {row.group: cloud for row, cloud in zip(index.rows, found, strict=True) if row.row == 0}
    np.testing.assert_array_equal(by_group["clean"].points, vectors(2, 8, seed=999)[0])
    np.testing.assert_array_equal(by_group["lidar/2"].points, vectors(2, 7, seed=12)[0])
    assert by_group["distortion_rbf_inv/5"].label == 5


@pytest.mark.parametrize(
    ("kind", "lost", "kept"),
    [("modelnet_c", "scale_0.h5", 35), ("modelnet40_c", "data_cutout_3.npy", 75)],
)
def test_suites_in_parts_are_read_only_when_asked_and_that_is_logged(
    kind: str, lost: str, kept: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = release(kind, tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(DataError, match=re.escape(lost)):
        source.index(tmp_path)
    index = type(source)(missing_files="skip").index(tmp_path)
    assert len({row.group for row in index.rows}) == kept
    assert "1 of" in caplog.text


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_fixed_point_and_normals_are_scaled_and_splits_told_apart(save: object, tmp_path: Path) -> None:
    arrays = fixed_point_arrays()
    assert callable(save)
    save(tmp_path / "set.npz", **arrays)
    index, found = read_all(FIXED_POINT, tmp_path)
    assert index.class_names == ("cup", "lamp")
    assert [(row.split, row.label) for row in index.rows] == [
        ("train", 0),
        ("test", 1),
        ("train", 1),
        ("train", 0),
        ("test", 1),
    ]
    assert index.points_per_cloud == 7
    for number, cloud in enumerate(found):
        np.testing.assert_array_equal(cloud.points, arrays["points_q"][number] / np.float32(2048))
        normals = arrays["normals_i8"][number].astype(np.float64)
        expected = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        np.testing.assert_allclose(cloud.normals, expected, atol=1e-6)


def test_npz_of_voxels_gives_the_centres_of_the_occupied_ones_by_split(tmp_path: Path) -> None:
    grids = (np.random.default_rng(0).random((5, 4, 4, 4)) > 0.5).astype(np.int32)
    np.savez(tmp_path / "v.npz", X_fit=grids[:3], X_test=grids[3:], y_fit=[0, 1, 0], y_test=[1, 0])
    source = Npz(
        points="X_{split}",
        labels="y_{split}",
        split_values={"train": "fit"},
        class_names=["cup", "lamp"],
        occupancy=True,
        up_axis="z",
    )
    index, found = read_all(source, tmp_path)
    assert [(row.row, row.split, row.label) for row in index.rows] == [
        *((row, "train", label) for row, label in enumerate([0, 1, 0])),
        *((row, "test", label) for row, label in [(3, 1), (4, 0)]),
    ]
    assert index.points_per_cloud is None
    for grid, cloud in zip(grids, found, strict=True):
        expected = np.argwhere(grid).astype(np.float32) + np.float32(0.5)
        np.testing.assert_array_equal(cloud.points, to_y_up(expected, "z"))


def test_npz_of_plain_floats_needs_no_settings_but_class_names(tmp_path: Path) -> None:
    points = vectors(4, 6).astype(np.float64)
    np.savez(tmp_path / "a.npz", points=points, labels=[[0], [1], [1], [0]])
    index, found = read_all(Npz(class_names=["cup", "lamp"], num_points=3), tmp_path)
    assert [(row.split, row.label) for row in index.rows] == [("train", label) for label in (0, 1, 1, 0)]
    np.testing.assert_array_equal(np.stack([cloud.points for cloud in found]), points[:, :3].astype("f4"))
    unlabelled, _ = read_all(Npz(labels=None, points_scale=2), tmp_path)
    assert unlabelled.class_names == ()
    assert {row.label for row in unlabelled.rows} == {None}


def test_npz_memory_stays_that_of_the_rows_read(tmp_path: Path) -> None:
    import tracemalloc

    np.savez_compressed(tmp_path / "a.npz", points=np.zeros((1000, 1024, 3), np.float32))  # 12 MB
    source = Npz(labels=None)
    rows = source.index(tmp_path).rows
    tracemalloc.start()
    found = source.read(tmp_path, [rows[999], rows[0]])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert peak < 5e6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "part", "points": "X_{split}"}, "twice"),
        ({"occupancy": True, "normals": "n"}, "voxels"),
        ({"classes": "c", "class_names": ["a"]}, "twice"),
        ({"points_scale": -1}, "points_scale"),
        ({"split_values": {"train": 0, "test": "0"}}, "same name"),
    ],
)
def test_npz_settings_that_contradict_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Npz, settings, "source")


def test_h5_files_without_lists_are_read_by_name(tmp_path: Path) -> None:
    write_lone_h5(tmp_path)
    index, found = read_all(LONE_H5, tmp_path)
    assert index.class_names == ("beam", "wall")
    assert [(row.file, row.split) for row in index.rows] == [("a.h5", "train")] * 3 + [("b.h5", "test")] * 3
    np.testing.assert_array_equal(found[4].points, vectors(3, 6, seed=1)[1])
    assert index.card != MODELNET
    both = ModelNetH5(files={"train": ["a.h5"], "validation": ["b.h5"]}, class_names=["beam", "wall"])
    assert {row.split for row in both.index(tmp_path).rows} == {"train", "validation"}


def test_h5_rows_of_a_chunked_and_compressed_file_come_back_as_written(tmp_path: Path) -> None:
    points = vectors(30, 16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=points, chunks=(7, 4, 1), compression="gzip")
        file.create_dataset("label", data=np.zeros(30, np.uint8))
    source = ModelNetH5(files={"train": ["a.h5"]}, class_names=["beam"])
    rows = source.index(tmp_path).rows
    order = np.random.default_rng(0).permutation(30)
    found = source.read(tmp_path, [rows[place] for place in order])
    np.testing.assert_array_equal(np.stack([cloud.points for cloud in found]), points[order])


def test_other_names_of_the_synsets_are_kept_as_they_are(tmp_path: Path) -> None:
    write_shapenet55(tmp_path)
    (tmp_path / "shapenet_pc/99999999-x.npy").write_bytes(
        (tmp_path / f"shapenet_pc/{DASHED}.npy").read_bytes()
    )
    (tmp_path / "ShapeNet-55/test.txt").write_text(f"99999999-x.npy\n{AIRPLANE}-d4.npy")
    assert ShapeNet55().index(tmp_path).class_names == ("airplane", "chair", "99999999")


def test_npz_in_a_folder_with_others_is_named(tmp_path: Path) -> None:
    write_npz(tmp_path)
    np.savez(tmp_path / "extras.npz", a=[1])
    named = FIXED_POINT.model_copy(update={"file": "set.npz"})
    assert len(named.index(tmp_path).rows) == 5
    with pytest.raises(DataError, match="2 npz files") as caught:
        FIXED_POINT.index(tmp_path)
    assert "`file`" in caught.value.remedy
