"""The source that is shipped with a job: whole, or not at all."""

from collections.abc import Collection
from pathlib import Path

from pointlab.errors import ConfigError

SOURCE_ROOT = "platform"
PACKAGE = f"{SOURCE_ROOT}/pointlab"
NUM_NAMED = 3


def ships_package(shipped: Collection[str]) -> bool:
    """Whether pointlab's source is among these files; else the job runs what the cluster has installed."""
    return f"{PACKAGE}/__init__.py" in shipped


def require_whole_source(folder: Path, shipped: Collection[str]) -> None:
    """Return if all of the source in `folder` is shipped, or none of it; ConfigError names what is left out.

    A pattern such as `data/`, meant for a folder of data, also leaves out a package of this name.
    """
    if not ships_package(shipped):
        return
    there = (path.relative_to(folder).as_posix() for path in (folder / PACKAGE).rglob("*.py"))
    missing = sorted(set(there).difference(shipped))
    if missing:
        more = f" and {len(missing) - NUM_NAMED} more" if len(missing) > NUM_NAMED else ""
        raise ConfigError(
            f"The job would get pointlab's source without {', '.join(missing[:NUM_NAMED])}{more}.",
            expected="all of the source, or none of it where the cluster has pointlab installed",
            remedy="look for the pattern in .gitignore or .rayignore, in any folder, that leaves it out;"
            " one that begins with / means one place alone",
        )
