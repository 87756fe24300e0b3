"""Corruption suites: the damage that real sensors and mistakes do to clouds, in five degrees of severity.

To add a corruption: a function in a module here, and one entry in the table of its suite. Whenever the
points that come out of one change, `VERSION` is raised.
"""

from pointlab.data.corruptions.contract import SEVERITIES, Condition, Corruption
from pointlab.data.corruptions.corrupted import ContentHash, corrupt, corrupted_arrays, corrupted_batches
from pointlab.data.corruptions.few_points import with_at_least
from pointlab.data.corruptions.released import CLEAN, has_group, released_batches, require_whole
from pointlab.data.corruptions.suites import SUITES, VERSION, CorruptionSuite, Origin, SuiteName

__all__ = [
    "CLEAN",
    "SEVERITIES",
    "SUITES",
    "VERSION",
    "Condition",
    "ContentHash",
    "Corruption",
    "CorruptionSuite",
    "Origin",
    "SuiteName",
    "corrupt",
    "corrupted_arrays",
    "corrupted_batches",
    "has_group",
    "released_batches",
    "require_whole",
    "with_at_least",
]
