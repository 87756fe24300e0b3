"""The processes that come from one, as Linux tells of them."""

import contextlib
from pathlib import Path


def descendants(process: int) -> list[int]:
    """Processes that `process` has started, and those that they have."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return children + [each for child in children for each in descendants(child)]


def members(session: int) -> list[int]:
    """Processes of the session that `session` began, whether or not it is still there itself."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(status.read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(status.parent.name))
    return found
