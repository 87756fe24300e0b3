"""Which dataset an experiment uses, and the name under which its prepared form is kept.

The identity of a prepared set covers everything its bytes depend on: the source's settings and version,
the sha256 of every source file, and how it was prepared. It does not cover where the files lay.
"""

import hashlib
import logging
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pointlab.config import StrictModel
from pointlab.data.builtin import Scans, Shapes
from pointlab.data.formats import (
    ModelNetH5,
    ModelNetOff,
    ModelNetTxt,
)
from pointlab.data.source import SourceIndex
from pointlab.errors import DataError
from pointlab.seeding import stable_hash
from pointlab.storage import Storage, read_manifest, whole_artifacts

logger = logging.getLogger(__name__)
PREPARATION_VERSION = 1

SourceConfig = Annotated[
    # one a line, in the order of the modules
    Shapes | Scans | ModelNetH5 | ModelNetTxt | ModelNetOff,
    Field(discriminator="kind"),
]


class DatasetConfig(StrictModel):
    """One dataset: where it comes from and how its clouds are prepared."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    source: SourceConfig
    root: str | None = Field(default=None, json_schema_extra={"identity": False})
    """Folder of the source files; not needed once the prepared set is in the store."""
    num_points: int = Field(default=1024, ge=1)
    """Points kept of each cloud, in farthest-point order: any prefix is a farthest-point sample."""
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
        """Hash of everything but the source files' content."""
        settings = self.model_dump_json(exclude={"root"})
        return stable_hash(PREPARATION_VERSION, self.source.version, settings)


def dataset_id(config: DatasetConfig, index: SourceIndex) -> str:
    """Name of the prepared set, `<name>-<hash>`: equal content and recipe, equal name."""
    digests = [file_sha256(config.root_path / name) for name in index.files] if config.root_path else []
    return f"{config.name}-{stable_hash(config.recipe(), *digests, digits=12)}"


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
    """sha256 of a file's content; DataError if it is not there."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", remedy="check the download and data.root"
        ) from None
