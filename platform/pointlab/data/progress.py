"""How far work on files has come, told to whoever wants to show it."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how many of how many are done: files, or bytes."""


def unwatched(done: int, total: int) -> None:
    """Told, and says nothing."""
