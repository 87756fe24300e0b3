"""Training on Ray Train's workers: the same function, the same loop, another context."""

import contextlib
import math
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.train.torch

from pointlab import distributed
from pointlab.engine.context import RayContext
from pointlab.engine.exchange import ExchangeConfig
from pointlab.engine.failures import Failure, failure_of, judged
from pointlab.engine.interruption import Interruption
from pointlab.engine.memory import count_oom_kills, with_memory
from pointlab.engine.progress import Member, Reporter, relayed
from pointlab.engine.retries import Tally, persevere
from pointlab.engine.room import resources_of_a_worker
from pointlab.engine.session import connect
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.storage import Storage
from pointlab.storage.lease import Fence
from pointlab.training import Run, TrainContext, TrainingConfig, Watcher

Stage = Callable[[Resolved[Any], TrainContext], Findings]


def fit(
    stage: Stage,
    resolved: Resolved[Any],
    storage: Storage,
    launch: LaunchConfig,
    watcher: Watcher,
    *,
    fence: Fence | None = None,
    stop: threading.Event | None = None,
    reporter: Reporter | None = None,
) -> Findings:
    """Run `stage` on as many workers as `launch` says and return the first worker's findings.

    A lost worker, node or store is survived: the run goes on from its newest checkpoint. Setting `stop` lets
    it save and end; `reporter` is told of each validation. Raises the PointlabError that stopped a worker,
    ResourceError where there is no room, PreemptedError where it was asked to end, and a defect as it was
    raised.
    """
    connect()
    launch = _within_batch(launch, resolved.experiment.training)
    interruption = Interruption(launch, stop or threading.Event())
    with relayed(watcher, interruption, reporter) as board:
        group = _Group(stage, resolved, storage, launch, board, fence)
        tally = Tally(Run(storage, resolved.run), launch.max_failures)
        return persevere(group.train, group.judge, tally, interruption)


@dataclass(frozen=True)
class _Group:
    """The workers of a run, started anew at every attempt."""

    stage: Stage
    resolved: Resolved[Any]
    storage: Storage
    launch: LaunchConfig
    board: Any
    fence: Fence | None

    def train(self, size: int) -> Findings:
        """One attempt on `size` workers; raises what Ray raises."""
        ray.get(self.board.begin.remote())
        with tempfile.TemporaryDirectory() as scratch, own_interrupt_handler():
            findings = self._trainer(size, scratch).fit().return_value
        assert isinstance(findings, Findings), "every stage returns findings"
        return findings

    def _trainer(self, size: int, scratch: str) -> ray.train.torch.TorchTrainer:
        """Ray keeps only its own books in `scratch`, and never tries again by itself."""
        return ray.train.torch.TorchTrainer(
            _work,
            train_loop_config={"group": self},
            torch_config=ExchangeConfig(timeout_s=math.ceil(self.launch.stall_timeout)),
            scaling_config=ray.train.ScalingConfig(
                num_workers=size,
                use_gpu=self.launch.gpus_per_worker > 0,
                resources_per_worker=resources_of_a_worker(self.launch),
            ),
            run_config=ray.train.RunConfig(
                name=self.resolved.run,
                storage_path=scratch,
                failure_config=ray.train.FailureConfig(
                    max_failures=0, controller_failure_limit=0, max_preemption_failures=0
                ),
            ),
        )

    def judge(self, error: Exception) -> Failure:
        """What the end of an attempt means."""
        members: dict[int, Member] = ray.get(self.board.members.remote())
        return with_memory(failure_of(error), members, self.resolved.experiment.training)


def _work(config: dict[str, Any]) -> Findings:
    """What every worker does."""
    group: _Group = config["group"]
    context = ray.get_runtime_context()
    rank = distributed.rank()
    member = Member(
        context.current_actor, ray.util.get_node_ip_address(), context.get_node_id(), count_oom_kills()
    )
    ray.get(group.board.enlist.remote(rank, member))
    try:
        return group.stage(
            group.resolved, RayContext(group.storage, group.board, group.launch.stall_timeout, group.fence)
        )
    except Exception as error:
        seen = judged(error, ray.get(group.board.members.remote()), rank)
        if seen is error:
            raise
        raise seen from error


def _within_batch(launch: LaunchConfig, training: TrainingConfig) -> LaunchConfig:
    """`launch` with no more workers than the batch has two samples for, so that growing is no mistake."""
    most = max(launch.fewest_workers, training.batch_size // (2 * training.accumulation))
    if launch.most_workers <= most:
        return launch
    return launch.model_copy(update={"num_workers": (launch.fewest_workers, most)})


@contextlib.contextmanager
def own_interrupt_handler() -> Iterator[None]:
    """Ctrl-C means again what it did, after the block: Ray lets it abort a fit, even one long over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
