"""A real MLflow server gets every run whole and once, and gives back what our records and logs say."""

import builtins
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run as Told
from mlflow_server import mlflow_server
from told_runs import LONG, LOSSES, MEASURED, TRAINED, measured, same, trained
from typer.testing import CliRunner

from pointlab.cli import app
from pointlab.errors import PointlabError
from pointlab.storage import Storage, open_storage
from pointlab.tracking import to_mlflow
from pointlab.tracking.to_mlflow import IN_RECORD
from s3_server import free_ports

MORE_THAN_ONE_TRY = 5.0
"""Seconds that MLflow's own client would go on for: it waits between its tries."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def empty(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "store"))


def told(server: str, experiment: str) -> dict[str, Told]:
    client = mlflow.MlflowClient(tracking_uri=server)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {each.info.run_name: each for each in client.search_runs([found.experiment_id])}


def test_settings_curves_figures_and_origin_arrive(server: str, empty: Storage) -> None:
    replays = [trained(empty), measured(empty)]
    assert list(to_mlflow(replays, server, "arrive")) == [(TRAINED, True), (MEASURED, True)]
    there, client = told(server, "arrive"), mlflow.MlflowClient(tracking_uri=server)
    one = there[TRAINED]
    assert (one.info.status, one.info.end_time - one.info.start_time) == ("FINISHED", 90_000)
    history = client.get_metric_history(one.info.run_id, "train/loss")
    assert [(each.step, each.value) for each in history] == list(enumerate(LOSSES, start=1))
    accuracies = client.get_metric_history(one.info.run_id, "validation/accuracy")
    assert [(each.step, each.value) for each in accuracies] == [(2, 0.75), (3, 0.625)]
    metrics = one.data.metrics
    assert (metrics["test/accuracy"], metrics["selected/validation/accuracy"]) == (0.5, 0.75)
    assert math.isnan(metrics["corrupted-test/mOA"])
    assert there[MEASURED].data.metrics["test/recall_1"] == 0.25
    assert one.data.params["training.optimiser.clip_norm"] == "null"
    for name, value in replays[0].origin.items():
        assert one.data.tags[f"pointlab.{name}"] == value


def test_the_whole_record_is_an_artifact_with_what_a_parameter_cannot_hold(
    server: str, empty: Storage, tmp_path: Path
) -> None:
    replay = trained(empty)
    list(to_mlflow([replay], server, "record"))
    [one] = told(server, "record").values()
    assert one.data.params["long"] == IN_RECORD
    path = mlflow.MlflowClient(tracking_uri=server).download_artifacts(
        one.info.run_id, "record.json", str(tmp_path)
    )
    record = json.loads(Path(path).read_text())
    assert record["config"]["long"] == LONG
    assert same(record, json.loads(replay.record.model_dump_json()))


def test_a_run_is_told_once(server: str, empty: Storage) -> None:
    replays = [trained(empty), measured(empty)]
    list(to_mlflow(replays[:1], server, "once"))
    before = told(server, "once")[TRAINED]
    assert list(to_mlflow(replays, server, "once")) == [(TRAINED, False), (MEASURED, True)]
    assert len(told(server, "once")) == 2
    assert told(server, "once")[TRAINED].info.run_id == before.info.run_id


class Cut:
    """A client whose connection is cut before the run is whole."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name == "log_text":
            raise mlflow.exceptions.MlflowException("cut")
        return getattr(self._client, name)


def test_a_run_that_was_left_half_way_is_told_anew(
    server: str, empty: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, replays = mlflow.MlflowClient, [trained(empty)]
    with monkeypatch.context() as patched:
        patched.setattr(mlflow, "MlflowClient", lambda **options: Cut(real(**options)))
        with pytest.raises(PointlabError, match="cut"):
            list(to_mlflow(replays, server, "half"))
    assert [each.info.status for each in told(server, "half").values()] == ["RUNNING"]
    assert list(to_mlflow(replays, server, "half")) == [(TRAINED, True)]
    [one] = told(server, "half").values()
    assert one.info.status == "FINISHED"
    assert one.data.metrics["test/accuracy"] == 0.5


def test_the_command_tells_the_finished_runs_of_a_store(server: str, empty: Storage) -> None:
    trained(empty)
    measured(empty)
    empty.write("runs/unfinished-1-s0/config.yaml", b"")
    command = ["track", "mlflow", "--root", empty.address, "--experiment", "command"]
    result = CliRunner().invoke(app, [*command, "--tracking-uri", server])
    assert result.exit_code == 0, result.output
    assert set(told(server, "command")) == {TRAINED, MEASURED}
    assert "unfinished-1-s0: left out" in result.output
    again = CliRunner().invoke(app, command, env={"MLFLOW_TRACKING_URI": server})
    assert "0 runs added" in again.output


def test_a_server_that_is_away_is_an_error_with_a_remedy(empty: Storage) -> None:
    (port,) = free_ports(1)
    address, begun = f"http://127.0.0.1:{port}", time.monotonic()
    with pytest.raises(PointlabError) as caught:
        list(to_mlflow([trained(empty)], address, "away"))
    assert time.monotonic() - begun < MORE_THAN_ONE_TRY
    assert caught.value.found == f"No MLflow server answers at {address}: Connection refused."
    assert "mlflow server" in caught.value.remedy


def test_without_an_address_nothing_is_guessed(empty: Storage) -> None:
    trained(empty)
    result = CliRunner().invoke(
        app, ["track", "mlflow", "--root", empty.address], env={"MLFLOW_TRACKING_URI": None}
    )
    assert isinstance(result.exception, PointlabError)
    assert "--tracking-uri" in result.exception.remedy


@pytest.mark.parametrize("library", ["mlflow", "wandb"])
def test_a_library_that_is_missing_is_an_error_with_a_remedy(
    library: str, empty: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    trained(empty)
    monkeypatch.setattr(builtins, "__import__", without)
    command = ["track", library, "--root", empty.address]
    result = CliRunner().invoke(app, command, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    assert isinstance(result.exception, PointlabError)
    assert f"pip install 'pointlab[{library}]'" in result.exception.remedy
