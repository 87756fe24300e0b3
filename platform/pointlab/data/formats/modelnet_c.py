"""ModelNet-C as released: one HDF5 file for the clean test clouds and one for each corruption and level.

Ren et al., ICML 2022 (github.com/jiawei-ren/ModelNet-C). The folder holds `clean.h5` and files such as
`scale_0.h5`, of levels 0 to 4, each with `data` (clouds, points, 3) and `label`, in the order of ModelNet40's
test set. Corruptions remove and add points, so lengths differ; so do types. All rows are `test`; a row's
group is "clean" or, with severity = level + 1, such as "scale/1".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pointlab.data.catalogue.objects import MODELNET_C
from pointlab.data.formats.by_file import read_by_file
from pointlab.data.formats.files import require_root
from pointlab.data.formats.hdf5 import open_hdf5, read_labels, read_vectors, require_vectors
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.data.formats.suites import SEVERITIES, MissingFiles, present_files
from pointlab.data.sample import Cloud
from pointlab.data.source import Source, SourceIndex, SourceRow

CORRUPTIONS = ("scale", "jitter", "rotate", "dropout_global", "dropout_local", "add_global", "add_local")


class ModelNetC(Source):
    """Clean and corrupted test clouds of the released files of ModelNet-C, of differing lengths."""

    kind: Literal["modelnet_c"] = "modelnet_c"
    missing_files: MissingFiles = "error"
    """What to do where files of the suite are absent; an error, as its scores are means over all of them."""

    def index(self, root: Path | None) -> SourceIndex:
        """Rows of all files, grouped by corruption and severity; no cloud is read."""
        folder = require_root(root, self.kind)
        groups = {"clean.h5": "clean"} | {
            f"{name}_{severity - 1}.h5": f"{name}/{severity}"
            for name in CORRUPTIONS
            for severity in SEVERITIES
        }
        groups = present_files(folder, groups, self.missing_files)
        rows: list[SourceRow] = []
        for file, group in groups.items():
            with open_hdf5(folder / file) as content:
                labels = read_labels(content, len(require_vectors(content, "data")), len(CLASSES_40))
            rows += [SourceRow(file, row, "test", int(label), group) for row, label in enumerate(labels)]
        return SourceIndex(class_names=CLASSES_40, rows=tuple(rows), files=tuple(groups), card=MODELNET_C)

    def read(self, root: Path | None, rows: Sequence[SourceRow]) -> list[Cloud]:
        """The clouds of `rows`, in their order, with all their points."""
        folder = require_root(root, self.kind)
        return read_by_file(rows, lambda file, wanted: _read_clouds(folder / file, wanted))


def _read_clouds(path: Path, rows: list[SourceRow]) -> list[Cloud]:
    with open_hdf5(path) as file:
        stored = require_vectors(file, "data")
        points = read_vectors(stored, np.array([row.row for row in rows], dtype=np.int64), stored.shape[1])
    return [Cloud(points[place], row.label) for place, row in enumerate(rows)]
