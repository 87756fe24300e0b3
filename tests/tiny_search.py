"""A search that takes seconds."""

from typing import Any

from conftest import TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import SearchExperiment

RATE = "training.optimiser.learning_rate"
RATES = {RATE: {"kind": "log_uniform", "low": 1e-4, "high": 1e-2}}
SEARCH = {
    "kind": "search",
    "name": "tiny-search",
    "transfer": TRANSFER,
    "num_trials": 3,
    "stopping": {"kind": "none"},
    "launch": {"kind": "ray", "cpus_per_worker": 1},
}


def tiny_search(root: str = "unused", space: Any = None, **changes: Any) -> SearchExperiment:
    """The search with nested changes, in the store at `root`."""
    settings = merge({**SEARCH, "space": space or RATES, "storage": {"root": root}}, changes)
    experiment: SearchExperiment = validate(SearchExperiment, settings, "test")
    return experiment
