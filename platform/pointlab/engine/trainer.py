"""Training on Ray Train's workers: the same function, the same loop, another context."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ray.train
import ray.train.torch
from ray.train.v2.api.exceptions import TrainingFailedError

from pointlab import distributed
from pointlab.data.batches import Arrays
from pointlab.engine.feed import ray_feed
from pointlab.engine.progress import BoardWatcher, relayed
from pointlab.engine.session import connect, require
from pointlab.errors import PointlabError
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.paradigms import Paradigm
from pointlab.storage import Storage
from pointlab.training import TrainContext, Watcher
from pointlab.training.context import FeedPlan

Stage = Callable[[Resolved[Any], TrainContext], Findings]
DATA_CPUS = 1.0
"""Logical CPUs left to data tasks; without any, training would wait for its first batch for ever."""


class RayContext(TrainContext):
    """A Ray Train worker as the loop sees it."""

    def __init__(self, storage: Storage, watcher: BoardWatcher) -> None:
        """Take the device that Ray gave to this worker."""
        self.storage, self._watcher = storage, watcher
        self.device = ray.train.torch.get_device()

    def feed(self, plan: FeedPlan) -> Iterator[Arrays]:
        """A Ray Data stream of this worker's share."""
        return ray_feed(plan)

    def wrap(self, paradigm: Paradigm) -> Any:
        """The paradigm in DDP where there are several workers; buffers stay each worker's own."""
        if distributed.world_size() == 1:
            return paradigm
        return ray.train.torch.prepare_model(
            paradigm, move_to_device=False, parallel_strategy_kwargs={"broadcast_buffers": False}
        )

    def announce(self, text: str) -> None:
        """Post to the driver's board; one worker speaks for all."""
        if distributed.rank() == 0:
            self._watcher.board.announce.remote(text)

    def watch(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Post to the driver's board; one worker speaks for all."""
        if distributed.rank() == 0:
            self._watcher(stage, done, total, figures)

    def report(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Let Ray's dashboard have the figures; checkpoints are not Ray's business."""
        ray.train.report({"epoch": epoch, **figures})


def fit(
    stage: Stage, resolved: Resolved[Any], storage: Storage, launch: LaunchConfig, watcher: Watcher
) -> Findings:
    """Run `stage` on `launch.num_workers` workers and return the first worker's findings.

    Raises the PointlabError that stopped a worker, or ResourceError where the cluster has too few CPUs.
    """
    connect()
    with relayed(watcher) as board, tempfile.TemporaryDirectory() as scratch:
        _require_room(launch)
        trainer = ray.train.torch.TorchTrainer(
            _work,
            train_loop_config={"stage": stage, "resolved": resolved, "storage": storage, "watcher": board},
            scaling_config=ray.train.ScalingConfig(
                num_workers=launch.num_workers,
                use_gpu=launch.gpus_per_worker > 0,
                resources_per_worker=_resources(launch),
            ),
            # Ray keeps only its own bookkeeping here: a store that is away cannot stop the controller
            run_config=ray.train.RunConfig(
                name=resolved.run,
                storage_path=scratch,
                failure_config=ray.train.FailureConfig(controller_failure_limit=3),
            ),
        )
        try:
            findings = trainer.fit().return_value
        except TrainingFailedError as error:
            raise _cause(error) from error
    assert isinstance(findings, Findings), "every stage returns findings"
    return findings


def _work(config: dict[str, Any]) -> Findings:
    stage: Stage = config["stage"]
    return stage(config["resolved"], RayContext(config["storage"], config["watcher"]))


def _resources(launch: LaunchConfig) -> dict[str, float]:
    gpus = {"GPU": launch.gpus_per_worker} if launch.gpus_per_worker > 0 else {}
    return {"CPU": launch.cpus_per_worker, **gpus}


def _require_room(launch: LaunchConfig) -> None:
    workers = launch.num_workers
    needed = {name: amount * workers for name, amount in _resources(launch).items()}
    require(
        needed | {"CPU": needed["CPU"] + DATA_CPUS},
        f"Training on {workers} workers x {launch.cpus_per_worker:g} CPUs, with {DATA_CPUS:g} for data,",
        "lower launch.num_workers, cpus_per_worker or gpus_per_worker, or set launch.kind=local",
    )


def _cause(error: Exception) -> BaseException:
    """The user's error behind a failed fit, if there is one."""
    failures = getattr(error, "worker_failures", {}).values()
    causes = (cause for failure in failures for cause in _chain(failure))
    return next((cause for cause in causes if isinstance(cause, PointlabError)), error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
