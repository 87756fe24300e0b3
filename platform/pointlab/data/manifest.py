"""What a prepared dataset says of itself: origin, licence, provenance, classes, conventions, sizes."""

from pydantic import BaseModel, ConfigDict

from pointlab.errors import DataError
from pointlab.storage import Storage, read_manifest


class DatasetManifest(BaseModel):
    """The `details` of a prepared set's artifact manifest.

    `rows` counts clouds by split, `dropped` those left out by reason. The ids of every split lie beside
    the shards, in `splits.json`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    recipe: str
    origin: str
    licence: str
    class_names: tuple[str, ...]
    part_names: tuple[str, ...]
    frame: str = "right-handed, y up"
    normalise: str
    num_points: int
    rows: dict[str, int]
    dropped: dict[str, int]
    source_files: dict[str, str]


def read_dataset(storage: Storage, dataset: str) -> DatasetManifest:
    """The manifest of a prepared set; DataError if there is no whole one of this name."""
    manifest = read_manifest(storage, f"datasets/{dataset}")
    if manifest is None:
        raise DataError(
            f"There is no prepared set {dataset} in {storage.address}.", remedy="prepare it first"
        )
    return DatasetManifest.model_validate(manifest.details)
