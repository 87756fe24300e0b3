"""Where an experiment runs: its datasets and parents first, then itself, here or on Ray."""

from pointlab.launch.datasets import ensure_prepared, prepare
from pointlab.launch.estimating import Estimate, estimate, foretold
from pointlab.launch.forecast import Needed, forecast
from pointlab.launch.foretold_classes import foresee_classes
from pointlab.launch.runs import Outcome, make_here, parents_here, resolve, run
from pointlab.launch.search_plan import SearchPlan, foresee_search

__all__ = [
    "Estimate",
    "Needed",
    "Outcome",
    "SearchPlan",
    "ensure_prepared",
    "estimate",
    "forecast",
    "foresee_classes",
    "foresee_search",
    "foretold",
    "make_here",
    "parents_here",
    "prepare",
    "resolve",
    "run",
]
