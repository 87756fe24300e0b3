"""Whatever is wrong with a folder of clouds, the error names the file and says what to do."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypcd4 import Encoding

from pointlab.data.formats import Folder
from pointlab.data.formats.parsing import parsing
from pointlab.errors import DataError
from written_clouds import (
    CLOUD_FILES,
    make,
    pcd_writer,
    write_cube,
    write_las,
    write_npy,
    write_ply,
    write_ply_ascii,
)

Spoil = Callable[[Path], object]
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
ASCII_PCD = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\n"
ASCII_PCD += "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {0}\nDATA ascii\n1 2 3\n4 5 6\n"


def text(content: str) -> Spoil:
    return lambda path: path.write_text(content)


def array(values: object) -> Spoil:
    return lambda path: np.save(path, values, allow_pickle=True)


def arrays(**values: object) -> Spoil:
    return lambda path: np.savez(path, **values)


def cut(write: Callable[[Path, object], object], num_bytes: int) -> Spoil:
    """A file without its last bytes."""

    def spoil(path: Path) -> None:
        write(path, make())
        path.write_bytes(path.read_bytes()[:-num_bytes])

    return spoil


def cut_cube(num_bytes: int, **settings: str) -> Spoil:
    def spoil(path: Path) -> None:
        write_cube(path, **settings)
        path.write_bytes(path.read_bytes()[:-num_bytes])

    return spoil


def ply_with(old: bytes, new: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        write_ply_ascii(path, make())
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return spoil


def without_normal(path: Path) -> None:
    cloud = make()
    cloud.normals[3] = 0
    write_ply(path, cloud)


def npz_that_announces(path: Path) -> None:
    """An array whose header says (10^12, 3), and which is empty."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("points.npy", header.getvalue())


def las_with(offset: int, kind: str, value: int) -> Spoil:
    """A LAS or LAZ file with another number in its header."""

    def spoil(path: Path) -> None:
        write_las(path, make())
        content = bytearray(path.read_bytes())
        struct.pack_into(kind, content, offset, value)
        path.write_bytes(content)

    return spoil


def pcd_with(encoding: Encoding, old: bytes, new: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        pcd_writer(encoding)(path, make())
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return spoil


ROW = [0.0, 1, 2]
OFF_TRIANGLE = "0 0 0\n1 0 0\n0 1 0\n"
SELF_DESCRIBED = [name for name, (file, _) in CLOUD_FILES.items() if not file.endswith(("txt", "xyz"))]
FILES: dict[str, tuple[str, Spoil, str]] = {
    "npy of objects": ("a.npy", array(np.array([{"x": 1}], dtype=object)), "a.npy cannot be read.*objects"),
    "npy that is a pickle": ("a.npy", lambda path: path.write_bytes(pickle.dumps([ROW])), "a.npy cannot"),
    "npy cut short": ("a.npy", cut(write_npy, 10), "a.npy cannot be read"),
    "npy of text": ("a.npy", array(np.array([["1", "2", "3"]])), r"a.npy .*\(1, 3\).*<U1"),
    "npy of complex numbers": ("a.npy", array(np.ones((2, 3), dtype=complex)), "complex128"),
    "npy of one dimension": ("a.npy", array(np.arange(6.0)), r"a.npy .*\(6,\)"),
    "npy of many clouds": ("a.npy", array(np.zeros((2, 5, 3))), r"a.npy .*\(2, 5, 3\)"),
    "npy of four columns": ("a.npy", array(np.ones((5, 4))), "rows of 4 numbers, whose meaning is not clear"),
    "npy of unclear six": ("a.npy", array(np.full((5, 6), 300.0)), "meaning is not clear"),
    "npy of fractional labels": ("a.npy", array([[*ROW, 0, 0, -1, 0.5]]), "a.npy .*not whole numbers"),
    "npy of labels below -1": ("a.npy", array([[*ROW, 0, 0, -1, -2]]), "a.npy .*from -1 on"),
    "npy of pure colours or of normals along axes": (
        "a.npy",
        array([[*ROW, 1, 0, 0], [*ROW, 0, 1, 0], [*ROW, 0, 0, 1]]),
        "meaning is not clear.*`columns`",
    ),
    "npy of black, or of no normals": (
        "a.npy",
        array([[*ROW, 0, 0, 0, 1]]),
        "meaning is not clear.*`columns`",
    ),
    "npy far from the origin": (
        "a.npy",
        array(np.array([500_000.0, 5_400_000, 300]) + np.eye(3)),
        r"float32 holds to 0.32 only.*`shift`.*\[-500000.0, -5400000.0, -300.0\]",
    ),
    "obj far from the origin": (
        "a.obj",
        text("v 500000 0 5400000\nv 500001 0 5400000\nv 500000 0 5400001\nf 1 2 3\n"),
        "a.obj has coordinates .*`shift`",
    ),
    "npz that announces much": ("a.npz", npz_that_announces, r"points.npy has 0 bytes .*1000000000000, 3"),
    "ascii pcd that announces much": (
        "a.pcd",
        text(ASCII_PCD.format(10**12)),
        "announces 1000000000000 points",
    ),
    "binary pcd that announces much": (
        "a.pcd",
        pcd_with(Encoding.BINARY, b"POINTS 12", b"POINTS 1000000000000"),
        "announces 1000000000000 points",
    ),
    "compressed pcd that announces much": (
        "a.pcd",
        pcd_with(Encoding.BINARY_COMPRESSED, b"POINTS 12", b"POINTS 1000000000000"),
        "announces 1000000000000 points",
    ),
    "pcd of very long fields": (
        "a.pcd",
        text(ASCII_PCD.format(2).replace("COUNT 1", "COUNT 1000000000")),
        "announces 2 points, for which it is too short",
    ),
    "las that announces many points": (
        "a.las",
        las_with(107, "<I", 2**32 - 1),
        "announces 4294967295 points",
    ),
    "laz that announces many points": (
        "a.laz",
        las_with(107, "<I", 2**32 - 1),
        "announces 4294967295 points",
    ),
    "las that announces many records": (
        "a.las",
        las_with(100, "<I", 2**32 - 1),
        "announces 4294967295 records",
    ),
    "off of many faces": ("a.off", text(f"OFF\n3 1000000000 0\n{OFF_TRIANGLE}3 0 1 2\n"), "1000000000 faces"),
    "off of many corners": (
        "a.off",
        text(f"OFF\n3 1 0\n{OFF_TRIANGLE}1000000000 0 1 2\n"),
        "announces 1000000000 corners",
    ),
    "off of more corners than numbers": (
        "a.off",
        text(f"OFF\n3 1 0\n{OFF_TRIANGLE}99999999999999999999 0 1 2\n"),
        "a.off has an unreadable row",
    ),
    "comment behind numbers": ("a.xyz", text("1 2 3\n4 5 6 # last\n"), "a comment behind numbers.*# last"),
    "list of atoms": ("a.xyz", text("2\nwater\nO 0 0 0\nH 1 0 0\n"), "a.xyz .*is a list of atoms"),
    "npz without points": ("a.npz", arrays(normals=np.ones((2, 3)), id=3), r"a.npz .*\['id', 'normals'\]"),
    "npz of objects": ("a.npz", arrays(points=np.array([None], dtype=object)), "a.npz cannot be read"),
    "npz of unequal lengths": (
        "a.npz",
        arrays(points=np.ones((3, 3)), normals=np.ones((2, 3))),
        "a.npz has arrays of different lengths",
    ),
    "npz that is no archive": ("a.npz", text("PK nothing"), "a.npz cannot be read"),
    "empty text": ("a.txt", text("\r\n"), "a.txt is empty"),
    "only comments": ("a.txt", text("# x y z\n"), "a.txt has only comments"),
    "text with a header": ("a.xyz", text("x y z\n1 2 3\n"), "a.xyz .*'x'.* row 0"),
    "decimal commas": ("a.xyz", text("1,5;2,5;3,5\n"), "a.xyz .*'1,5'"),
    "mixed separators": ("a.xyz", text("1,2,3\n4 5 6\n"), "a.xyz .*row 1|a.xyz .*from 3 to 1"),
    "uneven rows": ("a.xyz", text("1 2 3\r\n4 5\r\n"), "a.xyz .*from 3 to 2"),
    "binary text": ("a.txt", lambda path: path.write_bytes(b"\xff\xfe\x00"), "a.txt cannot be read as text"),
    "binary ply cut short": ("a.ply", cut(write_ply, 8), "a.ply cannot be read"),
    "binary ply cut by a point": ("a.ply", cut(write_ply, 29), "a.ply cannot be read"),
    "ascii ply cut by points": (
        "a.ply",
        lambda path: (write_ply_ascii(path, make()), path.write_text(path.read_text()[:-150]))[1],
        "a.ply (announces 12|cannot be read)",
    ),
    "ply without vertices": ("a.ply", ply_with(b"element vertex", b"element corner"), "a.ply has no vertex"),
    "ply without z": ("a.ply", ply_with(b"float z", b"float depth"), r"a.ply has the fields .*'depth'"),
    "ply of unknown types": (
        "a.ply",
        ply_with(b"property float x", b"property real x"),
        "a.ply cannot be read",
    ),
    "ply that is none": ("a.ply", text("<html>"), "a.ply cannot be read"),
    "ply mesh cut short": ("a.ply", cut_cube(14), "a.ply cannot be read"),
    "ascii ply mesh cut short": ("a.ply", cut_cube(30, encoding="ascii"), "a.ply .*(face|cannot be read)"),
    "ply with a zero normal": ("a.ply", without_normal, "a.ply has 1 normals without direction"),
    "ply colours out of range": (
        "a.npz",
        arrays(points=np.ones((2, 3)), rgb=np.full((2, 3), -0.5)),
        "colours",
    ),
    "binary pcd cut by a point": ("a.pcd", cut(pcd_writer(Encoding.BINARY), 32), "a.pcd announces 12 points"),
    "binary pcd cut short": ("a.pcd", cut(pcd_writer(Encoding.BINARY), 7), "a.pcd cannot be read"),
    "compressed pcd cut short": ("a.pcd", cut(pcd_writer(Encoding.BINARY_COMPRESSED), 40), "a.pcd"),
    "ascii pcd with lines missing": ("a.pcd", text(ASCII_PCD.format(3)), "a.pcd announces 3 points"),
    "pcd without a header": ("a.pcd", text("1 2 3\n"), "a.pcd cannot be read"),
    "las cut by points": ("a.las", cut(write_las, 52), "a.las announces 12 points and has 10"),
    "las cut short": ("a.las", cut(write_las, 7), "a.las announces 12 points and has 11"),
    "laz cut short": ("a.laz", cut(write_las, 30), "a.laz cannot be read"),
    "las that is none": ("a.las", text("LASF"), "a.las cannot be read"),
    "off cut short": ("a.off", cut_cube(20), "a.off"),
    "off without faces": ("a.off", text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n"), "3 vertices and 0 faces"),
    "obj without faces": ("a.obj", text(TRIANGLE), "a.obj has no faces"),
    "obj face cut short": ("a.obj", text(TRIANGLE + "f 1 2 3\nf 1 2"), "a.obj .*triangles"),
    "obj face of an absent vertex": ("a.obj", text(TRIANGLE + "f 1 2 9\n"), "a.obj"),
    "obj without area": ("a.obj", text(TRIANGLE + "f 1 2 2\n"), "a.obj has a surface without area"),
    "obj with NaN": (
        "a.obj",
        text("v nan 0 0\n" + TRIANGLE + "f 1 2 3\n"),
        "a.obj has vertices that are NaN",
    ),
    "obj with a word": ("a.obj", text("v 0 x 0\n" + TRIANGLE + "f 1 2 3\n"), "a.obj cannot be read"),
    "binary stl cut short": ("a.stl", cut_cube(25, file_type="stl"), "a.stl .*12 faces"),
    "ascii stl cut short": ("a.stl", cut_cube(60, file_type="stl_ascii"), "a.stl is neither"),
    "empty stl": ("a.stl", text(""), "a.stl is neither"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_named_with_a_remedy(name: str, tmp_path: Path) -> None:
    file, spoil, message = FILES[name]
    spoil(tmp_path / file)
    source = Folder(up_axis="y")
    index = source.index(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        source.read(tmp_path, index.rows)
    assert file in str(caught.value)
    assert caught.value.expected
    assert caught.value.remedy


def test_a_file_for_which_memory_is_too_small_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.las").write_text("")
    with (
        pytest.raises(DataError, match=r"a\.las announces more than memory holds"),
        parsing(tmp_path / "a.las", "a LAS file"),
    ):
        bytearray(2**62)


@pytest.mark.parametrize("name", SELF_DESCRIBED)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_the_beginning_of_a_file_is_never_taken_for_the_whole(
    name: str, share: float, tmp_path: Path
) -> None:
    """Text is left out, as it does not say how long it is."""
    file, write = CLOUD_FILES[name]
    write(tmp_path / file, make())
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: int(len(content) * share)])
    source = Folder(up_axis="y")
    with pytest.raises(DataError, match=file):
        source.read(tmp_path, source.index(tmp_path).rows)


LAYOUTS: dict[str, tuple[list[str], dict[str, object], str]] = {
    "nothing to read": ([], {}, "holds no files"),
    "other extensions": (["a/1.npy"], {"extensions": [".ply"]}, r"holds no files of the kinds \.ply"),
    "different depths": (
        ["train/a/1.npy", "b/1.npy"],
        {},
        "different depths, such as b/1.npy and train/a/1.npy",
    ),
    "splits beside classes": (["train/1.npy", "chair/2.npy"], {}, "ambiguous.*chair/2.npy"),
    "no split at either level": (["a/b/1.npy"], {}, "ambiguous.*a/b/1.npy"),
    "splits at both levels": (["train/test/1.npy"], {}, "ambiguous.*train/test/1.npy"),
    "one class called like a split": (["a/train/1.npy", "a/b/1.npy"], {}, "ambiguous"),
    "too deep": (["a/b/c/1.npy"], {}, "ambiguous"),
    "another layout than said": (["a/1.npy"], {"layout": "split/class"}, "a/1.npy lies 1 folders deep"),
    "an unknown split": (["a/exam/1.npy"], {"layout": "class/split"}, "a/exam/1.npy .*'exam'"),
    "a class by a split's name": (
        ["Training/1.npy", "chair/2.npy"],
        {},
        "folders of which Training are called",
    ),
    "a class like a split": (["train_set/1.npy", "test_set/2.npy"], {}, "test_set, which may be a split or"),
    "splits deep in like classes": (["train-1/a/1.npy"], {}, "in folders none called like a split"),
    "two words for one split": (
        ["val/a/1.npy", "Dev/a/1.npy"],
        {},
        "folders dev and val, which both are val",
    ),
    "an unknown class": (["a/1.npy"], {"class_names": ("b",)}, "has the class 'a'"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_unclear_layout_is_an_error_that_says_why(name: str, tmp_path: Path) -> None:
    files, settings, message = LAYOUTS[name]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        write_npy(tmp_path / file, make())
    with pytest.raises(DataError, match=message) as caught:
        Folder(up_axis="y", **settings).index(tmp_path)
    assert caught.value.expected
    assert caught.value.remedy


CSV_FILES: dict[str, tuple[str, str]] = {
    "empty": ("", "index.csv is empty"),
    "header alone": ("path,label\n", "header and no rows"),
    "no label column": ("path,class\n1.npy,a\n", r"\['path', 'class'\]"),
    "a field too many": ("path,label\n1.npy,a,b\n", "Line 2 of .*index.csv has more or fewer fields"),
    "a field too few": ("path,label,split\n1.npy,a\n", "Line 2 of .*more or fewer"),
    "a quote that stays open": ('path,label\n"1.npy,a\n', "index.csv is not CSV"),
    "no label": ("path,label\n1.npy, \n", "Line 2 of .*no label"),
    "an unknown class": ("path,label\n1.npy,lamp\n", "index.csv has the class 'lamp'"),
    "an unknown split": ("path,label,split\n1.npy,a,exam\n", "Line 2 of .*'exam'"),
    "a cloud twice": ("path,label\n1.npy,a\n1.npy,b\n", "Line 3 of .*'1.npy' again"),
    "a missing file": ("path,label\n1.npy,a\n9.npy,a\n", "names 1 clouds that are missing, first '9.npy'"),
    "a path above the root": ("path,label\n../1.npy,a\n", r"Line 2 of .*'\.\./1\.npy'"),
    "a path through the root": ("path,label\nx/../../1.npy,a\n", r"'x/\.\./\.\./1\.npy'"),
    "an absolute path": ("path,label\n/etc/passwd,a\n", "'/etc/passwd'"),
    "a path with a drive": ("path,label\nC:/1.npy,a\n", "'C:/1.npy'"),
    "no path": ("path,label\n ,a\n", "Line 2 of .*''"),
    "a path longer than names may be": (f"path,label\n{'a' * 300}.npy,a\n", "1 clouds that are missing"),
    "a column twice": ("path,label,Label \n1.npy,a,b\n", "has the column 'label' more than once"),
    "a blank line before": ("path,label\n\n \n1.npy,a\n\n1.npy,a,b\n", "Line 6 of .*more or fewer"),
    "a line break before": (
        'path,label,caption\n1.npy,a,"one\ntwo"\n\n2.npy,,x\n',
        "Line 5 of .*index.csv has no label",
    ),
    "a group in two splits": (
        "path,label,split,group\n1.npy,a,train,g\n2.npy,a,test,g\n",
        "Line 3 of .*group 'g' in test, which is also in train",
    ),
}


@pytest.mark.parametrize("name", CSV_FILES)
def test_a_spoilt_csv_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    content, message = CSV_FILES[name]
    for file in ("1.npy", "2.npy"):
        write_npy(tmp_path / file, make())
    (tmp_path / "index.csv").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        Folder(up_axis="y", csv="index.csv", class_names=("a", "b")).index(tmp_path)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("column", ["split", "group", "caption"])
def test_a_column_that_was_given_a_name_must_be_in_the_csv(column: str, tmp_path: Path) -> None:
    write_npy(tmp_path / "1.npy", make())
    (tmp_path / "index.csv").write_text("path,label\n1.npy,a\n")
    source = Folder(up_axis="y", csv="index.csv", columns_of_csv={column: "mine"})
    with pytest.raises(DataError, match=r"has the columns \['path', 'label'\].*'mine'"):
        source.index(tmp_path)


def test_a_csv_whose_name_is_longer_than_names_may_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        Folder(up_axis="y", csv="a" * 300).index(tmp_path)


def test_a_csv_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*index\.csv"):
        Folder(up_axis="y", csv="index.csv").index(tmp_path)


def test_pictures_are_not_clouds(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="holds no files"):
        Folder(up_axis="y").index(tmp_path)
