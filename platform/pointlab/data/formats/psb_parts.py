"""Segmented meshes: the labels of Kalogerakis et al. on the Princeton benchmark, OFF and faces by part.

    <class>/<id>.off
    <class>/<id>_labels.txt     in turn the name of a part and a line of its faces, numbered from 1

Points are drawn from the surface and carry the part of the face they lie on. There is no official split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import PositiveInt

from pointlab import seeding
from pointlab.data.catalogue.scenes import PSB_PARTS
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.files import read_lines, require_root
from pointlab.data.formats.meshes import sample_faces
from pointlab.data.formats.off import read_off
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow
from pointlab.errors import DataError

LABELS_SUFFIX = "_labels.txt"
PARTS = {
    "Airplane": "body wing stabilizer rudder engine",
    "Ant": "torso head antenna back leg",
    "Armadillo": "torso foot lowerLeg upperLeg tail hand lowerArm upperArm ear head back",
    "Bearing": "bigroller smallroller tinyroller mediumroller base1 base2",
    "Bird": "body head wing tail leg",
    "Bust": "hair background nose neck ear face mouth eye",
    "Chair": "support leg arm backsupport",
    "Cup": "body handle",
    "Fish": "body fin tail",
    "FourLeg": "torso head earhorn leg neck tail",
    "Glasses": "lens skeleton middle",
    "Hand": "hand thumb finger1 finger2 finger3 finger4",
    "Human": "lowerleg torso upperleg foot head lowerarm upperarm hand",
    "Mech": "bigbox smallbox smallcylinder bigcylinder mediumcylinder",
    "Octopus": "body leg",
    "Plier": "center handle edge",
    "Table": "support leg",
    "Teddy": "torso hand leg head ear",
    "Vase": "body spout handle top base",
}
"""Classes of the release and the names of their parts; every name in the label files is one of these."""
PART_NAMES = tuple(f"{name}:{part}" for name, parts in PARTS.items() for part in parts.split())


class PsbParts(Source):
    """Clouds with face normals and part labels, drawn from segmented meshes."""

    kind: Literal["psb_parts"] = "psb_parts"
    up_axis: UpAxis = "y"
    """That of most classes; the release has no rule."""
    num_points: PositiveInt = 2048
    """As many as the papers on ShapeNetPart take."""
    test_every: int = 3
    """Every so manieth mesh of a class, by number, is for testing, as the release has no split; 0: none."""
    part_names: tuple[str, ...] = PART_NAMES
    """<class>:<part>, in the order of their numbers; those of the release."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all meshes, by names alone; DataError for a mesh without labels."""
        folder = require_root(root, self.kind)
        files = sorted(folder.glob("*/*.off"), key=lambda path: (path.parent.name, len(path.stem), path.stem))
        if not files:
            raise DataError(
                f"{folder} holds no meshes.",
                expected="files such as Chair/101.off and Chair/101_labels.txt",
                remedy="set `root` to the folder that holds the folders of the classes",
            )
        rows = self._rows(folder, files)
        labels = [_labels_file(row.file) for row in rows]
        missing = [name for name in labels if not (folder / name).is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} meshes have no labels; there is no file {folder / missing[0]}.",
                expected="a file of labels beside every mesh",
                remedy="unpack the release again, or take these meshes out",
            )
        return SourceIndex(
            class_names=_class_names(files),
            rows=tuple(rows),
            files=(*(row.file for row in rows), *labels),
            points_per_cloud=self.num_points,
            part_names=self.part_names,
            card=PSB_PARTS,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order; the draw depends on the file's name in the set alone."""
        folder = require_root(root, self.kind)
        return [self._read_cloud(folder, row) for row in rows]

    def _rows(self, folder: Path, files: list[Path]) -> list[SourceRow]:
        rows = []
        for label, name in enumerate(_class_names(files)):
            for number, path in enumerate((path for path in files if path.parent.name == name), start=1):
                is_test = self.test_every > 0 and number % self.test_every == 0
                file = path.relative_to(folder).as_posix()
                rows.append(SourceRow(file, 0, "test" if is_test else "train", label))
        return rows

    def _read_cloud(self, folder: Path, row: SourceRow) -> Cloud:
        mesh = read_off(folder / row.file)
        labels = self._read_labels(folder / _labels_file(row.file), len(mesh.triangles))
        random = seeding.generator(self.kind, row.file)
        points, normals, faces = sample_faces(mesh, self.num_points, random)
        return Cloud(
            to_y_up(points, self.up_axis),
            label=row.label,
            normals=to_y_up(normals, self.up_axis),
            point_labels=labels[faces],
        )

    def _read_labels(self, path: Path, num_faces: int) -> Int64[np.ndarray, " faces"]:
        """The part of every face; DataError unless each has just one.

        That also refuses a mesh of polygons, whose triangles would be numbered otherwise than its faces.
        """
        lines = read_lines(path)
        labels = np.full(num_faces, -1, dtype=np.int64)
        num_labelled = 0
        for name, faces in zip(lines[::2], [*lines[1::2], ""], strict=False):
            part = f"{path.parent.name}:{name}"
            if part not in self.part_names:
                raise _unreadable(path, f"has a part {name!r}", f"a part of {path.parent.name}")
            try:
                numbers = np.array(faces.split(), dtype=np.int64)
            except ValueError as error:
                raise _unreadable(path, f"has faces that are no numbers: {error}", "numbers") from None
            if len(numbers) == 0 or numbers.min() < 1 or numbers.max() > num_faces:
                found = f"gives {name!r} {len(numbers)} faces, not all within the mesh"
                raise _unreadable(path, found, f"numbers of faces, 1 to {num_faces}")
            labels[numbers - 1] = self.part_names.index(part)
            num_labelled += len(numbers)
        if num_labelled != num_faces or (labels < 0).any():
            found = f"labels {num_labelled} faces of a mesh of {num_faces} triangles"
            raise _unreadable(path, found, "every face once")
        return labels


def _class_names(files: list[Path]) -> tuple[str, ...]:
    return tuple(sorted({path.parent.name for path in files}))


def _labels_file(file: str) -> str:
    return file.removesuffix(".off") + LABELS_SUFFIX


def _unreadable(path: Path, found: str, expected: str) -> DataError:
    return DataError(
        f"{path} {found}.",
        expected=f"{expected}; lines are in turn the name of a part and its faces",
        remedy="unpack this file from the release again, or set `part_names` for a set of your own",
    )
