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

from pointlab.errors import ConfigError, ResourceError

EXCLUDES = (
    # environments
    ".venv",
    "venv",
    ".tox",
    ".nox",
    # version control, caches, builds
    ".git",
    ".hg",
    "__pycache__",
    ".*_cache",
    "*.egg-info",
    "/build",
    "/dist",
    # data and results, which are in the storage
    "/data",
    "/datasets",
    "/runs",
    "/studies",
    "/results",
    "/mlruns",
    "/wandb",
    # credentials, which the cluster has of its own
    ".env",
    ".env.*",
    ".aws",
    ".ssh",
    ".netrc",
    "*.pem",
)
"""What no job ships, in the notation of `.gitignore`; `.rayignore` says the same to `ray job submit`."""
NUM_NAMED = 3
WALK = logging.getLogger("ray._private.runtime_env")
"""Where Ray tells of every ignore file that it meets."""


@dataclass(frozen=True)
class Package:
    """The files of `folder` that are shipped, by their paths in it, with their sizes in bytes."""

    folder: Path
    files: Mapping[str, int]
    limit: int = packaging.GCS_STORAGE_MAX_SIZE
    """The most that Ray takes: the head's memory holds it, and every node fetches it from there."""

    @property
    def num_bytes(self) -> int:
        """The size of the whole; Ray does not compress."""
        return sum(self.files.values())

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
            f"{self.folder} would ship {in_megabytes(self.num_bytes)}: most is in"
            f" {_listed(self.by_folder())}; the largest files are {_listed(dict(largest))}.",
            expected=f"at most {in_megabytes(self.limit)}, which is Ray's limit",
            remedy="put data into the storage, and name in .rayignore what the job does not need",
        )

    def __str__(self) -> str:
        return f"{in_megabytes(self.num_bytes)} in {len(self.files)} files: {_listed(self.by_folder())}"


def measured(folder: Path, excludes: tuple[str, ...] = EXCLUDES) -> Package:
    """What a job with this working folder would ship; ConfigError where there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}.", remedy="name one with --working-dir")
    root, files = folder.absolute(), dict[str, int]()

    def count(path: Path) -> None:
        if path.is_file():
            files[path.relative_to(root).as_posix()] = path.stat().st_size

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


def in_megabytes(num_bytes: int) -> str:
    """A size for people: of small ones kilobytes."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} kB"


def _listed(sizes: Mapping[str, int]) -> str:
    """The first few of these with their sizes, and how many more there are."""
    named = [f"{name} {in_megabytes(size)}" for name, size in list(sizes.items())[:NUM_NAMED]]
    more = len(sizes) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])
