"""What a submitted job ships: the files of its working folder, as Ray packs them, and their size.

Ray leaves out what `.gitignore` and `.rayignore` name in any folder, and the patterns that come with a
request. Here the same walk is made, by Ray's own functions, so that what would be sent is known before.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ray._private import ray_constants
from ray._private.runtime_env import packaging

from pointlab.engine.jobs.excludes import EXCLUDES
from pointlab.errors import ConfigError, ResourceError

LIMIT = min(ray_constants.DASHBOARD_CLIENT_MAX_SIZE, packaging.GCS_STORAGE_MAX_SIZE - 1)
"""Bytes: the head takes 100 MiB in one request, and keeps less than the other number in its memory."""
HEADERS, END = 30 + 46, 22
"""Bytes of a zip: of each entry beside its content and twice its name, and of the whole (APPNOTE 4.3)."""
NUM_NAMED = 3
WALK = logging.getLogger("ray._private.runtime_env")
"""Where Ray tells of every ignore file that it meets."""


@dataclass(frozen=True)
class Package:
    """The files of `folder` that are shipped, by their paths in it, with their sizes in bytes.

    Empty folders are shipped as well: `name/`, of no size.
    """

    folder: Path
    files: Mapping[str, int]
    limit: int = LIMIT

    @property
    def num_bytes(self) -> int:
        """The size of the zip that is sent; Ray does not compress."""
        return END + sum(HEADERS + 2 * len(path.encode()) + size for path, size in self.files.items())

    def by_folder(self) -> dict[str, int]:
        """Bytes of every folder at the top, and of every file there, largest first."""
        sizes: dict[str, int] = {}
        for path, size in self.files.items():
            top = path.partition("/")[0]
            sizes[top] = sizes.get(top, 0) + size
        return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))

    def require_sendable(self) -> None:
        """ResourceError that names what is largest, where Ray would refuse it."""
        if self.num_bytes <= self.limit:
            return
        largest = sorted(self.files.items(), key=lambda item: -item[1])
        raise ResourceError(
            f"{self.folder} would ship {in_mebibytes(self.num_bytes)}: most is in"
            f" {_listed(self.by_folder())}; the largest files are {_listed(dict(largest))}.",
            expected=f"at most {in_mebibytes(self.limit)}, which is what the head takes",
            remedy="put data into the storage, and name in .rayignore what the job does not need",
        )

    def __str__(self) -> str:
        return f"{in_mebibytes(self.num_bytes)} in {len(self.files)} files: {_listed(self.by_folder())}"


def measured(folder: Path, excludes: tuple[str, ...] = EXCLUDES) -> Package:
    """What a job with this working folder would ship; ConfigError where there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}.", remedy="name one with --working-dir")
    root, files = folder.absolute(), dict[str, int]()

    def count(path: Path) -> None:
        name = path.relative_to(root).as_posix()
        if path.is_file():
            files[name] = path.stat().st_size
        elif path.is_dir() and next(path.iterdir(), None) is None:
            files[f"{name}/"] = 0

    WALK.setLevel(logging.ERROR)
    patterns = [*ray_constants.get_runtime_env_default_excludes(), *excludes]
    packaging._dir_travel(
        root,
        [packaging._get_excludes(root, patterns)],
        count,
        include_gitignore=os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1",
        logger=WALK,
    )
    return Package(root, files)


def in_mebibytes(num_bytes: int) -> str:
    """A size for people, in the unit of Ray's limit: of small ones KiB."""
    return f"{num_bytes / 2**20:.1f} MiB" if num_bytes >= 2**20 / 10 else f"{num_bytes / 2**10:.1f} KiB"


def _listed(sizes: Mapping[str, int]) -> str:
    """The first few of these with their sizes, and how many more there are."""
    named = [f"{name} {in_mebibytes(size)}" for name, size in list(sizes.items())[:NUM_NAMED]]
    more = len(sizes) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])
