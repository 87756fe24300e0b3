"""Whether any node could hold what a job reserves for its own process; Ray waits for one in silence."""

from collections.abc import Sequence

from pointlab.engine.jobs.job import Order
from pointlab.engine.room import Resources, workers_that_fit


def lacking(order: Order, nodes: Sequence[Resources]) -> str:
    """What no node has in all of what the order reserves, in words; empty where one has it, or none is known.

    Ray gives such a job up after a while (RAY_JOB_START_TIMEOUT_SECONDS of the head: 15 minutes), unless an
    autoscaler adds a node; from here that cannot be known.
    """
    each = {name: amount for name, amount in (("CPU", order.cpus), ("GPU", order.gpus)) if amount > 0}
    if not each or not nodes or workers_that_fit(nodes, each, data_cpus=0):
        return ""
    most = " and ".join(f"{max(node.get(name, 0) for node in nodes):g} {name}s" for name in each)
    size = " and ".join(f"{amount:g} {name}s" for name, amount in each.items())
    return (
        f"No node has the {size} that this job reserves (none has more than {most}): unless an autoscaler"
        " adds one, it will not start. What to do: stop it, and lower launch.cpus_per_worker or"
        " launch.gpus_per_worker."
    )
