"""JSON files of a dataset, checked against the type they should have."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pointlab.data.formats.files import read_text_file
from pointlab.errors import DataError


def read_json(path: Path, kind: Any) -> Any:
    """What the file holds, as the type `kind`, such as `list[str]`; DataError where it is anything else."""
    try:
        return TypeAdapter(kind).validate_json(read_text_file(path), strict=True)
    except ValidationError as error:
        raise DataError(
            f"{path} cannot be read: {error.errors()[0]['msg']}.",
            expected="a whole JSON file of the release",
            remedy="download or unpack it again",
        ) from None
