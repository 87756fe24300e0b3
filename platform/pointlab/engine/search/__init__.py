"""The search on Ray Tune: it runs trials and stops them; what is proposed and found is kept by the ledger."""

from pointlab.engine.search.conduct import search
from pointlab.engine.search.room import trials_at_a_time
from pointlab.engine.search.trial import ParentsHere

__all__ = ["ParentsHere", "search", "trials_at_a_time"]
