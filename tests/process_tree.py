"""The processes that come from one, as Linux tells of them."""

from pathlib import Path


def descendants(process: int) -> list[int]:
    """Processes that `process` has started, and those that they have."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return children + [each for child in children for each in descendants(child)]
