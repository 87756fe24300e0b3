"""Workers that died because a node's memory ran out, as far as it can be told from outside.

Ray's memory monitor says so itself. The kernel's killer leaves no word to the parent, but counts: each
control group has the number of its processes that were killed like this.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pointlab.engine.failures import Failure
from pointlab.engine.progress import Member
from pointlab.errors import TrainingError
from pointlab.training.faults import memory_remedy
from pointlab.training.settings import TrainingConfig

CGROUPS = Path("/sys/fs/cgroup")
ANSWER_SECONDS = 3.0


def with_memory(failure: Failure, members: Mapping[int, Member], training: TrainingConfig) -> Failure:
    """`failure`, or a TrainingError with the sizes to try, where memory ran out under a lost worker.

    It would run out again at the same sizes, so there is nothing to be tried again.
    """
    lost = [members[rank] for rank in failure.lost if rank in members]
    killer = "Ray" if failure.is_memory else "the kernel" if any(map(_was_killed, lost)) else None
    if killer is None:
        return failure
    places = " and ".join(sorted({member.address for member in lost})) or "its node"
    error = TrainingError(
        f"Memory ran out on {places}: {killer} ended a worker ({failure.what}).",
        remedy=memory_remedy(training.batch_size, training.accumulation),
    )
    return Failure(error.found, error, may_pass=False)


def _was_killed(member: Member) -> bool:
    """Whether the kernel has killed something for memory where this worker was, since it began."""
    if member.node_id == ray.get_runtime_context().get_node_id():
        return count_oom_kills() > member.oom_kills  # no process to start: the run should go on soon
    there = NodeAffinitySchedulingStrategy(member.node_id, soft=False)
    count = ray.remote(num_cpus=0, max_retries=0)(count_oom_kills).options(scheduling_strategy=there)
    try:
        return int(ray.get(count.remote(), timeout=ANSWER_SECONDS)) > member.oom_kills
    except RayError:
        return False  # the node is gone, or busy


def count_oom_kills() -> int:
    """How many processes the kernel has killed for memory where this one runs; 0 where it does not say."""
    for path in _counters(Path("/proc/self/cgroup"), CGROUPS):
        if path.is_file():
            fields = (line.split() for line in path.read_text().splitlines())
            counts = [int(field[1]) for field in fields if field[0] == "oom_kill"]
            if counts:
                return counts[0]
    return 0


def _counters(memberships: Path, cgroups: Path) -> Sequence[Path]:
    """Where the count may be: the own control group in either version, then the whole machine."""
    lines = memberships.read_text().splitlines() if memberships.is_file() else []
    found = []
    for _, controllers, own in (line.split(":", 2) for line in lines):
        for folder in (own.lstrip("/"), ""):  # inside a container, its own group is the root
            if "memory" in controllers.split(","):
                found.append(cgroups / "memory" / folder / "memory.oom_control")
            if not controllers:
                found.append(cgroups / folder / "memory.events")
    return [*found, Path("/proc/vmstat")]
