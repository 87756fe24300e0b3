"""Runs on an MLflow server: parameters, metrics by step, tags, and the whole record as an artifact.

MLflow knows a run by an identity of its own; ours is the tag `pointlab.run`. A run there is finished when all
of it has arrived: one that an export left half-way is deleted, and told anew.
"""

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pointlab.errors import PointlabError
from pointlab.tracking.replay import Replay

T = TypeVar("T")
TAG = "pointlab."
RECORD = "record.json"
ANSWER_SECONDS = 10.0
METRICS_AT_A_TIME, OTHERS_AT_A_TIME = 1000, 100
"""What a request may hold."""
LONGEST_PARAMETER = 6000
IN_RECORD = f"too long for MLflow: see {RECORD} among the artifacts"
FORBIDDEN = re.compile(r"[^/\w.\- :]")
"""What no name of a metric may hold."""
BEFORE_IMPORT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""No word to anybody but the server; and where that is away, seconds and not minutes until it is said."""


def to_mlflow(replays: Iterable[Replay], address: str, experiment: str) -> Iterator[tuple[str, bool]]:
    """Tell the server at `address` of each run; yields its name, and whether it was not there before.

    Raises PointlabError where MLflow is not installed, or the server is away or refuses.
    """
    mlflow = _mlflow()
    _require_answer(address)
    with _explained(mlflow, address):
        client = mlflow.MlflowClient(tracking_uri=address)
        found = client.get_experiment_by_name(experiment)
        identity = client.create_experiment(experiment) if found is None else found.experiment_id
    for replay in replays:
        with _explained(mlflow, address):
            is_new = not _is_there(client, identity, replay.record.run)
            if is_new:
                _send(mlflow, client, identity, replay)
        yield replay.record.run, is_new


def _is_there(client: Any, experiment: str, run: str) -> bool:
    """Whether the server has the whole run; what it has in part is deleted."""
    runs = client.search_runs([experiment], filter_string=f"tags.`{TAG}run` = '{run}'")
    whole = [each for each in runs if each.info.status == "FINISHED"]
    for each in runs:
        if each not in whole:
            client.delete_run(each.info.run_id)
    return bool(whole)


def _send(mlflow: Any, client: Any, experiment: str, replay: Replay) -> None:
    tags = {f"{TAG}{name}": value for name, value in replay.origin.items()}
    created = client.create_run(
        experiment, start_time=_milliseconds(replay.begun), tags=tags, run_name=replay.record.run
    )
    identity = created.info.run_id
    entities = mlflow.entities
    parameters = [
        entities.Param(name, value if len(value) <= LONGEST_PARAMETER else IN_RECORD)
        for name, value in replay.settings.items()
    ]
    for some in _batches(parameters, OTHERS_AT_A_TIME):
        client.log_batch(identity, params=some)
    for some in _batches(_metrics(entities, replay), METRICS_AT_A_TIME):
        client.log_batch(identity, metrics=some)
    client.log_text(identity, replay.record.model_dump_json(indent=1), RECORD)
    client.set_terminated(identity, "FINISHED", end_time=_milliseconds(replay.finished))


def _metrics(entities: Any, replay: Replay) -> list[Any]:
    """The log, and after it what the record says; all with the time at which the run ended, as no line has
    one."""
    when = _milliseconds(replay.finished)
    last = max((step for step, _ in replay.lines), default=0)
    told = [(name, value, step) for step, figures in replay.lines for name, value in figures.items()]
    told += [(name, value, last) for name, value in replay.figures.items()]
    return [entities.Metric(FORBIDDEN.sub("_", name), value, when, step) for name, value, step in told]


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _milliseconds(when: datetime.datetime) -> int:
    return int(when.timestamp() * 1000)


def _require_answer(address: str) -> None:
    """Return if something answers at the address of a server, whatever it says: MLflow's client would try for
    long, and say nothing meanwhile. What is no address of a server, such as a folder, is the client's affair.
    """
    if not address.startswith(("http://", "https://")):
        return
    import requests  # which MLflow's client talks with: it heeds the same proxies

    try:
        requests.get(f"{address.rstrip('/')}/health", timeout=ANSWER_SECONDS, allow_redirects=False).close()
    except requests.exceptions.SSLError:
        return  # something answers; which certificates are good, MLflow's own variables say
    except requests.RequestException as error:
        raise PointlabError(
            f"No MLflow server answers at {address}: {_reason(error)}.",
            expected="the address of a server that runs, such as http://localhost:5000",
            remedy="check the address, that `mlflow server` runs there, and that its port can be reached",
        ) from None


def _reason(error: BaseException) -> str:
    """The innermost cause, without the layers of libraries around it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error).rstrip(".")


@contextmanager
def _explained(mlflow: Any, address: str) -> Iterator[None]:
    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        raise PointlabError(
            f"MLflow at {address} did not take it: {str(error).splitlines()[0].rstrip('.')}.",
            remedy="see that the server runs, and that MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, are"
            " right where it asks for them; runs that are there already are not told twice",
        ) from error


def _mlflow() -> Any:
    for name, value in BEFORE_IMPORT.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ModuleNotFoundError:
        raise PointlabError(
            "MLflow's client is not installed.", remedy="pip install 'pointlab[mlflow]', or mlflow-skinny"
        ) from None
    return mlflow
