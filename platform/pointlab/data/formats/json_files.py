"""JSON files of a dataset, checked against the type they should have."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pointlab.data.formats.files import require_file
from pointlab.errors import DataError


def read_json(path: Path, kind: Any) -> Any:
    """What the file holds, as the type `kind`, such as `list[str]`; DataError where it is anything else."""
    try:
        return TypeAdapter(kind).validate_json(require_file(path).read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(
            f"{path} cannot be read: {problem}.",
            expected="a whole JSON file of the release",
            remedy="download or unpack it again",
        ) from None
