"""Studies without Ray: what is to be done (`planning`), step by step (`execution`), and what came out.

`comparison` sets the starts against the baseline, with the intervals of `statistics`; `costs` says what all
took; `tables` puts that and all cells together, with the `words` that zero-shot figures rest on; `interim`
keeps what an unfinished study has found so far. The engine's study is a crew of many processes.
"""

from pointlab.study.execution import Crew, Failure, Ledger, Make, alone, attempt, conduct
from pointlab.study.interim import forget_interim, read_interim
from pointlab.study.planning import EARLIER_TRANSFER, PRETRAINING, Extent, Plan, Step, foresee

__all__ = [
    "EARLIER_TRANSFER",
    "PRETRAINING",
    "Crew",
    "Extent",
    "Failure",
    "Ledger",
    "Make",
    "Plan",
    "Step",
    "alone",
    "attempt",
    "conduct",
    "foresee",
    "forget_interim",
    "read_interim",
]
