"""ModelNet40-C as released: one npy file for each corruption and severity, and one for the labels of all.

Sun et al., 2022 (github.com/jiachens/ModelNet40-C). The folder holds `label.npy`, files such as
`data_cutout_3.npy`, (clouds, points, 3), of severities 1 to 5, and at times the clean `data_original.npy`.
Lengths differ by corruption; clouds fill a box, not a sphere. All rows are `test`; a row's group is "clean"
or such as "cutout/3".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pointlab.data.catalogue.objects import MODELNET40_C
from pointlab.data.formats.by_file import read_by_file, require_rows
from pointlab.data.formats.files import require_root
from pointlab.data.formats.labels import require_labels
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.data.formats.npy import open_npy, require_points_array
from pointlab.data.formats.suites import SEVERITIES, MissingFiles, present_files
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow
from pointlab.errors import DataError

LABELS, CLEAN = "label.npy", "data_original.npy"
CORRUPTIONS = (
    *("occlusion", "lidar", "density_inc", "density", "cutout"),
    *("uniform", "gaussian", "impulse", "upsampling", "background"),
    *("rotation", "shear", "distortion", "distortion_rbf", "distortion_rbf_inv"),
)


class ModelNet40C(Source):
    """Corrupted test clouds of the released files of ModelNet40-C, and the clean ones if they are there."""

    kind: Literal["modelnet40_c"] = "modelnet40_c"
    missing_files: MissingFiles = "error"
    """What to do where files of the suite are absent; an error, as its score is a mean over all of them."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all files, grouped by corruption and severity; of clouds only headers are read."""
        folder = require_root(root, self.kind)
        groups = {
            f"data_{name}_{severity}.npy": f"{name}/{severity}"
            for name in CORRUPTIONS
            for severity in SEVERITIES
        }
        groups = present_files(folder, groups, self.missing_files)
        if (folder / CLEAN).is_file():
            groups = {CLEAN: "clean", **groups}
        stored = open_npy(folder / LABELS)
        labels = require_labels(stored, str(folder / LABELS), stored.size, len(CLASSES_40)).tolist()
        rows: list[SourceRow] = []
        for file, group in groups.items():
            _open_clouds(folder / file, len(labels))
            rows += [SourceRow(file, row, "test", label, group) for row, label in enumerate(labels)]
        return SourceIndex(
            class_names=CLASSES_40, rows=tuple(rows), files=(LABELS, *groups), card=MODELNET40_C
        )

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with all their points."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: _read_clouds(folder / file, wanted))


def _open_clouds(path: Path, num_clouds: int) -> np.ndarray:
    """The clouds of a file, mapped; DataError unless there are `num_clouds` of them."""
    clouds = open_npy(path)
    require_points_array(clouds, path, ndim=3)
    if len(clouds) != num_clouds:
        raise DataError(
            f"{path} holds {len(clouds)} clouds.",
            expected=f"{num_clouds}, one a label in {LABELS}",
            remedy="take all files from one release",
        )
    return clouds


def _read_clouds(path: Path, rows: list[SourceRow]) -> list[Cloud]:
    clouds = open_npy(path)
    require_points_array(clouds, path, ndim=3)
    require_rows(path, len(clouds), rows)
    return [Cloud(np.array(clouds[row.row], dtype=np.float32), row.label) for row in rows]
