"""What may pass is tried again, a bounded number of times; mistakes and defects are raised as they are."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError, RayTaskError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError
from ray.train.v2._internal.execution.worker_group import RayTrainWorker
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from pointlab.engine.failures import LossError, _answers, failure_of, judged
from pointlab.engine.interruption import Interruption
from pointlab.engine.memory import count_oom_kills, with_memory
from pointlab.engine.progress import Member
from pointlab.engine.retries import Tally, persevere
from pointlab.errors import DataError, PointlabError, PreemptedError, StalledError, TrainingError
from pointlab.experiment.placement import LaunchConfig
from pointlab.experiment.resolve import Findings
from pointlab.storage import Storage
from pointlab.training import Run, TrainingConfig

DEAD = WorkerHealthCheckFailedError("no answer", ActorDiedError())
BROKEN = RuntimeError(
    "[/somewhere/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:77. GLHF"
)
DEFECT = TypeError("a defect")


def of_workers(*errors: Exception) -> WorkerGroupError:
    return WorkerGroupError("", dict(enumerate(errors)))


def of_task(cause: Exception) -> RayTaskError:
    return RayTaskError("task", "traceback", cause, "title", 1, "127.0.0.1")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (of_workers(DEFECT, DEAD), "worker 1 was lost"),
        (of_workers(DEAD, DEAD), "worker 0 and 1 was lost"),
        (of_workers(WorkerHealthCheckTimeoutError("hangs")), "worker 0 was lost"),
        (of_workers(LossError("Lost."), StalledError("No batch arrived.")), "No batch arrived"),
        (of_workers(PreemptedError("Saved.")), "Saved"),
        (ControllerError(OSError("no scratch")), "Ray could not run the workers (OSError: no scratch)"),
        (ControllerError(of_task(BROKEN)), "Ray could not run the workers (RuntimeError: Connection closed"),
        (ActorDiedError(), "Ray's controller was lost"),
    ],
)
def test_a_loss_may_pass(error: Exception, what: str) -> None:
    failure = failure_of(error)
    assert failure.may_pass
    assert failure.what.startswith(what)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (of_workers(DEFECT), DEFECT),
        (of_workers(DEAD, DataError("A bad cloud.")), DataError),
        (of_workers(LossError("Lost."), TrainingError("Not finite.")), TrainingError),
        (ControllerError(of_task(DEFECT)), ControllerError),
        (of_task(DEFECT), RayTaskError),
    ],
)
def test_a_mistake_or_a_defect_does_not_pass(error: Exception, raised: Any) -> None:
    failure = failure_of(error)
    assert not failure.may_pass
    assert failure.error is raised or isinstance(failure.error, raised)


def test_a_worker_knows_a_loss_from_a_defect() -> None:
    seen = judged(BROKEN, {}, rank=1)
    assert isinstance(seen, LossError)
    assert "(RuntimeError: Connection closed by peer [10.0.0.2]:77)" in str(seen)
    assert isinstance(judged(ActorDiedError(), {}, rank=0), LossError)
    assert judged(DEFECT, {}, rank=0) is DEFECT
    mistake = DataError("A bad cloud.")
    wrapped = of_task(mistake).as_instanceof_cause()
    assert judged(wrapped, {}, rank=0) is mistake
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("in the feed") from mistake
    assert judged(caught.value, {}, rank=0) is mistake


def checkpointed(run: Run, step: int) -> None:
    run.write_checkpoint(step, [("weights", b"")], {})


def test_a_new_checkpoint_starts_the_count_of_failures_anew(tmp_path: Path) -> None:
    run = Run(Storage(str(tmp_path)), "r")
    tally = Tally(run, limit=2)
    loss = failure_of(ActorDiedError())
    for step in (1, 2, 3):
        tally.add(loss)
        tally.add(loss)
        checkpointed(run, step)
    tally.add(loss)
    tally.add(loss)
    with pytest.raises(TrainingError, match=r"failure 3 in a row.*controller was lost.*stands at step 3"):
        tally.add(loss)


def test_what_passes_by_itself_is_raised_as_it_was_in_the_end(tmp_path: Path) -> None:
    tally = Tally(Run(Storage(str(tmp_path)), "r"), limit=0)
    with pytest.raises(StalledError, match="No batch"):
        tally.add(failure_of(of_workers(StalledError("No batch."))))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
class TestOnACluster:
    def run(
        self, attempt: Callable[[int], Findings], folder: Path, stop: threading.Event | None = None
    ) -> Findings:
        launch = LaunchConfig(kind="ray", max_failures=1)
        interruption = Interruption(launch, stop or threading.Event())
        tally = Tally(Run(Storage(str(folder)), "r"), launch.max_failures)
        return persevere(attempt, failure_of, tally, interruption)

    def test_an_attempt_is_repeated_until_it_succeeds(self, tmp_path: Path) -> None:
        errors: list[Exception] = [of_workers(DEAD), ActorDiedError(), of_workers(LossError("Lost."))]

        def attempt(size: int) -> Findings:
            checkpointed(Run(Storage(str(tmp_path)), "r"), 10 - len(errors))
            if errors:
                raise errors.pop()
            return Findings({"size": size})

        assert self.run(attempt, tmp_path).metrics == {"size": 1}
        assert not errors

    @pytest.mark.parametrize(
        ("error", "raised", "attempts"),
        [
            (of_workers(DEAD), TrainingError, 2),
            (of_workers(DEFECT), TypeError, 1),
            (of_workers(DataError("A bad cloud.")), DataError, 1),
        ],
    )
    def test_an_attempt_is_not_repeated_for_ever(
        self, error: Exception, raised: type[Exception], attempts: int, tmp_path: Path
    ) -> None:
        made: list[int] = []

        def attempt(size: int) -> Findings:
            made.append(size)
            raise error

        with pytest.raises(raised):
            self.run(attempt, tmp_path)
        assert len(made) == attempts

    @pytest.mark.parametrize("error", [of_workers(PreemptedError("Saved.")), of_workers(DEAD)])
    def test_who_was_asked_to_end_does_not_try_again(self, error: Exception, tmp_path: Path) -> None:
        stop = threading.Event()

        def attempt(size: int) -> Findings:
            stop.set()
            raise error

        with pytest.raises(PreemptedError):
            self.run(attempt, tmp_path, stop)

    def test_any_error_beside_a_dead_worker_is_a_loss(self) -> None:
        members = {rank: member() for rank in range(2)}
        assert judged(DEFECT, members, rank=0) is DEFECT
        end(members[1])
        seen = judged(DEFECT, members, rank=0)
        assert isinstance(seen, LossError)
        assert "failed as worker 1 was lost (TypeError: a defect)" in str(seen)

    @pytest.mark.parametrize(
        ("death", "kills", "who"),
        [(OutOfMemoryError("full"), 0, "Ray"), (ActorDiedError(), -1, "the kernel")],
    )
    def test_memory_that_ran_out_names_the_sizes_to_try(self, death: RayError, kills: int, who: str) -> None:
        failure = failure_of(of_workers(WorkerHealthCheckFailedError("no answer", death)))
        lost = {
            0: Member(None, "10.0.0.2", ray.get_runtime_context().get_node_id(), count_oom_kills() + kills)
        }
        told = with_memory(failure, lost, TrainingConfig(batch_size=32, accumulation=2))
        assert not told.may_pass
        with pytest.raises(PointlabError, match=rf"{who} ended a worker.*accumulation=4.*batch_size=16"):
            raise told.error

    def test_a_worker_that_died_of_something_else_is_only_lost(self) -> None:
        here = ray.get_runtime_context().get_node_id()
        failure = failure_of(of_workers(DEAD))
        lost = {0: Member(None, "10.0.0.2", here, count_oom_kills())}
        assert with_memory(failure, lost, TrainingConfig()) is failure


def member() -> Member:
    actor = ray.remote(num_cpus=0)(RayTrainWorker).remote()
    ray.get(actor.execute.remote(int))
    return Member(actor, "", "", 0)


def end(member: Member) -> None:
    """Return when the worker is dead: being killed takes a moment, in which it may still answer."""
    ray.kill(member.actor)
    while _answers(member):
        pass
