"""Errors that a user can fix: each says what was found, what was expected and what to do.

The command line prints one of these as a paragraph and ends with exit code 2. Anything else that is
raised is a defect of pointlab and keeps its traceback.
"""

from typing import ClassVar


class PointlabError(Exception):
    """What was found; what was `expected`; the `remedy` to try next."""

    is_transient: ClassVar[bool] = False
    """Whether doing the same again may succeed: what trains on Ray then goes on by itself."""

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        super().__init__(found, expected, remedy)
        self.found, self.expected, self.remedy = found, expected, remedy

    def __str__(self) -> str:
        parts = [self.found]
        if self.expected:
            parts.append(f"Expected: {self.expected}.")
        if self.remedy:
            parts.append(f"What to do: {self.remedy}.")
        return " ".join(parts)


class ConfigError(PointlabError):
    """A configuration that cannot be used: a misspelt key, a wrong type, fields that contradict."""


class DataError(PointlabError):
    """A data set that cannot be read or trusted: missing files, wrong keys, unusable clouds."""


class StorageError(PointlabError):
    """A storage address that cannot be read or written, or an artifact that is not whole."""


class DamagedError(StorageError):
    """An artifact that was whole and no longer holds what its manifest promises."""


class UnreachableError(StorageError):
    """A store that did not answer for as long as patience lasted."""

    is_transient = True


class LeaseError(PointlabError):
    """A run that another process is writing, or has taken over."""


class TransferError(PointlabError):
    """Weights that cannot be transferred or mixed: differing keys, shapes, types or heads."""


class ResourceError(PointlabError):
    """A run that its cluster can never start: the message names the numbers that would fit."""


class ClusterError(PointlabError):
    """A cluster elsewhere that cannot be talked to, or refuses what it is asked."""


class NoAnswerError(ClusterError):
    """A cluster that does not answer at present."""

    is_transient = True


class TrainingError(PointlabError):
    """A training run that cannot go on, such as one whose loss is no longer finite."""


class StalledError(TrainingError):
    """A wait inside training, such as for the next batch, that lasted beyond all patience."""

    is_transient = True


class PreemptedError(PointlabError):
    """A run that was asked to end (SIGTERM), saved what it had and can go on."""
