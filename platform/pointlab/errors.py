"""Errors that a user can fix: each says what was found, what was expected and what to do.

The command line prints one of these as a paragraph and ends with exit code 2. Anything else that is
raised is a defect of pointlab and keeps its traceback.
"""


class PointlabError(Exception):
    """What was found; what was `expected`; the `remedy` to try next."""

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


class TransferError(PointlabError):
    """Weights that cannot be transferred or mixed: differing keys, shapes, types or heads."""


class ResourceError(PointlabError):
    """A run that its cluster can never start: the message names the numbers that would fit."""


class TrainingError(PointlabError):
    """A training run that cannot go on, such as one whose loss is no longer finite."""
