"""Which dataset an experiment uses, and the name under which its prepared form is kept.

The identity of a prepared set covers everything it depends on: the source's settings and version, name and
sha256 of every source file, the classes, rows and splits that the source lists, and how it was prepared. It
does not cover where the folder lay.
"""

import hashlib
import logging
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pointlab.config import ADDED_LATER, StrictModel, left_out
from pointlab.data.builtin import RoomObjects, Rooms, Scans, Shapes
from pointlab.data.formats import (
    Folder,
    Kitti,
    ModelNet40C,
    ModelNetC,
    ModelNetDat,
    ModelNetFewshot,
    ModelNetH5,
    ModelNetOff,
    ModelNetTxt,
    Npz,
    PsbParts,
    RgbdFrames,
    S3dis,
    Scannet,
    ScanObjectNN,
    ShapeNet55,
    ShapeNetPart,
)
from pointlab.data.source import SourceIndex
from pointlab.errors import DataError
from pointlab.seeding import stable_hash
from pointlab.storage import Storage, read_manifest, whole_artifacts

logger = logging.getLogger(__name__)
PREPARATION_VERSION = 2
SETTLED_AFTER = 2_000_000_000
"""Nanoseconds, as long as the coarsest tick of a file system."""

SourceConfig = Annotated[
    # one a line, in the order of the modules
    Shapes
    | Scans
    | Rooms
    | RoomObjects
    | Folder
    | ModelNetH5
    | ModelNetTxt
    | ModelNetOff
    | PsbParts
    | RgbdFrames
    | S3dis
    | Scannet
    | Kitti
    | ModelNet40C
    | ModelNetC
    | ModelNetDat
    | ModelNetFewshot
    | Npz
    | ScanObjectNN
    | ShapeNet55
    | ShapeNetPart,
    Field(discriminator="kind"),
]


class DatasetConfig(StrictModel):
    """One dataset: where it comes from and how its clouds are prepared."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    source: SourceConfig
    root: str | None = Field(default=None, json_schema_extra={"identity": False})
    """Folder of the source files; not needed once the prepared set is in the store."""
    origin: str | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """What a set of your own is, and of whom; null, as the source says, which goes by the layout of files."""
    licence: str | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """Its terms of use; null, as the source says, unless `origin` is given: then they are not stated."""
    num_points: int = Field(default=1024, ge=1)
    """Points kept of each cloud, ordered so that any prefix is a sample of the kind that `sampling` names."""
    sampling: Literal["farthest", "random"] = "farthest"
    """farthest: farthest-point order, which suits objects; its cost is points times points kept, so scenes of
    a hundred thousand points are better drawn at random, by a generator keyed by the sample id."""
    voxel_size: float | None = Field(default=None, gt=0)
    """Edge of a grid, in the units of the source, of which each cell keeps its first point before sampling;
    it evens out the density of scans. None: no grid."""
    estimate_normals: int | None = Field(default=None, ge=3, json_schema_extra=ADDED_LATER)
    """Neighbours, the point itself among them, from which normals are estimated where the source has none;
    three span a plane, 16 are usual. A cloud with fewer points uses all of them. None: clouds that come
    without normals stay without."""
    normalise: Literal["unit_sphere", "none"] = "unit_sphere"
    """unit_sphere: centred on the mean, farthest point at radius 1, as the papers do."""
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training rows that becomes `validation` where the official set has none."""
    bad_clouds: Literal["error", "drop"] = "error"
    """drop leaves unusable clouds out and counts them in the manifest."""
    clouds_per_shard: int = Field(default=256, ge=1)
    """256 clouds of 1024 points with normals make shards of about 6 MB: quick to write and to verify."""

    @property
    def root_path(self) -> Path | None:
        """`root` as a path, `~` expanded."""
        return None if self.root is None else Path(self.root).expanduser()

    def recipe(self) -> str:
        """Hash of everything but the source files' content.

        A setting that was added later, left at its default, keeps it what it was before.
        """
        settings = self.model_dump_json(exclude=left_out(self))
        return stable_hash(PREPARATION_VERSION, self.source.version, settings)


def dataset_id(config: DatasetConfig, index: SourceIndex) -> str:
    """Name of the prepared set, `<name>-<hash>`: equal content and recipe, equal name."""
    content = hashlib.sha256()
    for name, digest in source_digests(config, index).items():
        content.update(f"{name}\x1f{digest}\x1e".encode())
    content.update(repr((index.class_names, index.part_names)).encode())
    for row in index.rows:
        content.update(f"{row.file}\x1f{row.row}\x1f{row.split}\x1f{row.label}\x1f{row.group}\x1e".encode())
    return f"{config.name}-{stable_hash(config.recipe(), content.hexdigest(), digits=12)}"


def source_digests(config: DatasetConfig, index: SourceIndex) -> dict[str, str]:
    """sha256 of every source file, by its name relative to the root."""
    root = config.root_path
    return {name: file_sha256(root / name) for name in index.files} if root else {}


def find_prepared(config: DatasetConfig, storage: Storage) -> str | None:
    """Name of the set that `config` describes among the prepared ones, or None.

    Without `root` the source cannot be hashed, so a prepared set of the same recipe is looked for; there
    must be just one.
    """
    if config.root is not None or not config.source.needs_root:
        name = dataset_id(config, config.source.index(config.root_path))
        return name if read_manifest(storage, f"datasets/{name}") else None
    found = []
    for name in whole_artifacts(storage, "datasets"):
        manifest = read_manifest(storage, f"datasets/{name}")
        if manifest is not None and manifest.details.get("recipe") == config.recipe():
            found.append(name)
    if len(found) > 1:
        raise DataError(
            f"{len(found)} prepared sets in {storage.address} fit {config.name!r}: {', '.join(found)}.",
            remedy="say which by giving the source folder with --set data.root=...",
        )
    return found[0] if found else None


def file_sha256(path: Path) -> str:
    """sha256 of a file's content; DataError if it is not there.

    A file is hashed once in a process while its size and its time of change stay; one that has just been
    changed is hashed each time, for a clock's tick may hide a second change.
    """
    try:
        state = path.stat()
        is_settled = time.time_ns() - state.st_mtime_ns > SETTLED_AFTER
        digest = _sha256 if is_settled else _sha256.__wrapped__
        return digest(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", remedy="check the download and data.root"
        ) from None


@lru_cache(maxsize=1 << 20)
def _sha256(path: Path, size: int, changed: int) -> str:  # noqa: ARG001
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
