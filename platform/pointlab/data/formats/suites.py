"""Released suites of corrupted test clouds: a file for each corruption and severity, all of them needed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pointlab.errors import DataError

logger = logging.getLogger(__name__)
SEVERITIES = (1, 2, 3, 4, 5)
MissingFiles = Literal["error", "skip"]


def present_files(folder: Path, groups: Mapping[str, str], missing: MissingFiles) -> dict[str, str]:
    """Those files of `groups` (file name -> group) that are there; DataError for what is missing."""
    present = {name: group for name, group in groups.items() if (folder / name).is_file()}
    absent = [name for name in groups if name not in present]
    if absent and (missing == "error" or not present):
        raise DataError(
            f"{len(absent)} of {len(groups)} files are missing in {folder}, such as {absent[0]}.",
            expected="every file of the release",
            remedy="set `root` to the folder that holds them, download them again, or set missing_files: skip"
            " to use those that are there",
        )
    if absent:
        logger.warning("%d of %d files of the suite are missing in %s", len(absent), len(groups), folder)
    return present
