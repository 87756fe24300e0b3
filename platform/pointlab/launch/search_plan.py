"""What a search would do, told before it does: how many trials, how many at a time, how many are over."""

from dataclasses import dataclass

from pointlab.experiment import SearchExperiment
from pointlab.experiment.search.trials import TrialLedger, counted
from pointlab.storage import Storage


@dataclass(frozen=True)
class SearchPlan:
    """The trials of one search."""

    total: int
    at_a_time: int
    so_far: dict[str, int]
    """How many trials are in the ledger, by what came of them."""


def foresee_search(search: SearchExperiment, run: str, storage: Storage) -> SearchPlan:
    """What the search `run` would do on its cluster; ResourceError where it could not."""
    from pointlab.engine.search import trials_at_a_time
    from pointlab.engine.session import connect

    connect()
    so_far = counted(TrialLedger(storage, run).read())
    return SearchPlan(search.total, trials_at_a_time(search), so_far)
