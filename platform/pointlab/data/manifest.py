"""What a prepared dataset says of itself: provenance, licence, classes, conventions, sizes, findings."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pointlab.data.catalogue import Scale
from pointlab.data.checks import Finding
from pointlab.errors import DataError
from pointlab.storage import Storage, read_manifest


class StoredCard(BaseModel):
    """What a manifest keeps of a set's card."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
    name: str
    title: str
    citation: str
    homepage: str
    licence: str
    terms: str
    scale: Scale


class EstimatedNormals(BaseModel):
    """Of how many clouds the normals are estimated, and how; those of other clouds come from the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    num_clouds: int
    num_neighbours: int
    sign: str = "a convention: the component of largest magnitude is positive"


class DatasetManifest(BaseModel):
    """The `details` of a prepared set's artifact manifest.

    `rows` counts clouds by split, `dropped` those left out by reason, `defects` what is known to be wrong
    with the release and was dealt with, by name; `findings` are those of the checks at the door. The ids of
    every split lie beside the shards, in `splits.json`. `frame` is that of the stored clouds, `source` the
    reader's settings. `estimated_normals` is None where no normals were estimated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    recipe: str
    card: StoredCard
    source: dict[str, Any]
    class_names: tuple[str, ...]
    part_names: tuple[str, ...]
    frame: str = "right-handed, y up"
    normalise: str
    estimated_normals: EstimatedNormals | None = None
    sampling: str
    num_points: int
    rows: dict[str, int]
    dropped: dict[str, int]
    defects: dict[str, int]
    findings: tuple[Finding, ...]
    code_version: str
    source_files: dict[str, str]


def read_dataset(storage: Storage, dataset: str) -> DatasetManifest:
    """The manifest of a prepared set; DataError if there is no whole one of this name, or one of old code."""
    manifest = read_manifest(storage, f"datasets/{dataset}")
    if manifest is None:
        raise DataError(
            f"There is no prepared set {dataset} in {storage.address}.", remedy="prepare it first"
        )
    try:
        return DatasetManifest.model_validate(manifest.details)
    except ValidationError as error:
        raise DataError(
            f"The set {dataset} in {storage.address} was prepared by another version of pointlab:"
            f" {error.error_count()} entries of its manifest are not understood.",
            remedy=f"delete {storage.locate(f'datasets/{dataset}')} and prepare it again",
        ) from None
