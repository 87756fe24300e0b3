"""ModelNet as first released: CAD meshes in OFF, `<class>/{train,test}/<name>.off`, z up.

ModelNet10.zip and ModelNet40.zip of modelnet.cs.princeton.edu. Points are drawn from the surface when a
file is read. Faces of these models are not turned consistently, so a normal may point inwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from pointlab import seeding
from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.formats.axes import UpAxis, to_y_up
from pointlab.data.formats.files import require_root
from pointlab.data.formats.meshes import sample_surface
from pointlab.data.formats.off import read_off
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow, Split
from pointlab.errors import DataError

SPLITS: tuple[Split, ...] = ("train", "test")


class ModelNetOff(Source):
    """Clouds with face normals drawn from the meshes of a folder such as `ModelNet10`, in their own units."""

    kind: Literal["modelnet_off"] = "modelnet_off"
    up_axis: UpAxis = "z"
    """ModelNet's own pose."""
    num_points: PositiveInt = 2048
    """Points drawn from each surface; as many as in the HDF5 release."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all meshes, by their names alone; a class is a folder that holds `train` or `test`."""
        folder = require_root(root, self.kind)
        class_names = sorted(
            {path.parent.name for path in folder.glob("*/*") if path.name in SPLITS and path.is_dir()}
        )
        files = [
            (path, split, label)
            for split in SPLITS
            for label, name in enumerate(class_names)
            for path in sorted((folder / name / split).glob("*.off"))
        ]
        if not files:
            raise DataError(
                f"{folder} holds no meshes.",
                expected="files such as bathtub/train/bathtub_0001.off",
                remedy="set `root` to the folder that holds the folders of the classes",
            )
        rows = [
            SourceRow(path.relative_to(folder).as_posix(), 0, split, label) for path, split, label in files
        ]
        return SourceIndex(
            class_names=tuple(class_names),
            rows=tuple(rows),
            files=tuple(row.file for row in rows),
            points_per_cloud=self.num_points,
            card=MODELNET,
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order; the draw depends on the file's name in the set alone."""
        folder = require_root(root, self.kind)
        return [self._read_cloud(folder, row) for row in rows]

    def _read_cloud(self, folder: Path, row: SourceRow) -> Cloud:
        random = seeding.generator(self.kind, row.file)
        points, normals = sample_surface(read_off(folder / row.file), self.num_points, random)
        return Cloud(to_y_up(points, self.up_axis), label=row.label, normals=to_y_up(normals, self.up_axis))
