"""A study on Ray loses a process and goes on; asked to end, it lets what is at work save first."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import steps
from ray import cloudpickle

from pointlab.engine.study import carry_out, measured_on_ray, on_ray
from pointlab.errors import PreemptedError
from pointlab.experiment import StudyExperiment
from pointlab.experiment.budgeting import lineage_of_pretraining
from pointlab.experiment.measured import measure
from pointlab.experiment.resolve import Findings
from pointlab.interruption import stop_on_sigterm
from pointlab.launch import resolve
from pointlab.storage import Storage
from pointlab.study import Failure, Make, conduct
from pointlab.training import ignore_progress
from tiny_study import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
cloudpickle.register_pickle_by_value(steps)


def conducted(make: Make, storage: Storage) -> Findings:
    """What a study of one pretraining and two cells finds when it is carried out by `make`."""
    launch = {"kind": "ray", "cpus_per_worker": 0.5, "max_failures": 1}
    study: StudyExperiment = tiny_study(storage, launch=launch, max_concurrent=1)
    resolved = resolve(study, storage)
    with stop_on_sigterm() as stop:
        return conduct(resolved, storage, ignore_progress, on_ray(make, study, storage), stop)


def test_a_step_whose_process_is_lost_is_tried_again(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    findings = conducted(steps.DiesOnce(tmp_path / "scar"), storage)
    assert findings.metrics["study/finished"] == 2.0
    assert any("tried again (failure 1 of at most 1)" in entry.getMessage() for entry in caplog.records)


def test_sigterm_lets_the_steps_at_work_save_and_end(storage: Storage, tmp_path: Path) -> None:
    started, saved = tmp_path / "started", tmp_path / "saved"

    def terminate() -> None:
        while not started.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(PreemptedError, match="0 of its 3 experiments"):
        conducted(steps.WorksUntilAsked(started, saved), storage)
    assert saved.exists()


def test_a_process_of_other_code_carries_nothing_out(storage: Storage, tmp_path: Path) -> None:
    resolved = resolve(tiny_study(storage), storage)  # any will do
    result = carry_out(resolved, steps.DiesOnce(tmp_path / "scar"), storage, None, "another version")
    assert isinstance(result, Failure)
    assert "the study's is another version" in result.error
    assert not result.may_pass


def test_a_step_is_timed_where_the_experiments_of_a_study_train(storage: Storage) -> None:
    study = tiny_study(storage, launch={"kind": "ray", "cpus_per_worker": 0.5})
    cell = next(cell for cell in study.cells if cell.experiment.pretrained is not None)
    *_, pretraining = lineage_of_pretraining(cell, resolve(study, storage).datasets)
    found = measured_on_ray(measure, study.launch, pretraining, storage)
    assert found.seconds > 0
    assert found.flops == measure(pretraining, storage).flops
    assert storage.folders("runs") == []
