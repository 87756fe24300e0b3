"""The record of a finished experiment, with the code and machine that made it, and its place in the store."""

import datetime

from pydantic import BaseModel

from pointlab.experiment.resolve import Findings, Resolved, TrainedExperiment
from pointlab.provenance import code_version, environment
from pointlab.storage import Record, Storage, write_record
from pointlab.storage.lease import Lease
from pointlab.storage.record_view import add_to_view
from pointlab.training.run import Run
from pointlab.training.tensorboard import publish_tensorboard


def finish(
    resolved: Resolved[TrainedExperiment],
    findings: Findings,
    wall_seconds: float,
    storage: Storage,
    lease: Lease,
) -> Record:
    """Store what makes a run finished: its curves for TensorBoard, its record, and its row in the view.

    Raises LeaseError, and stores no record, where another process holds the run's lease by now.
    """
    record = build_record(resolved, findings, wall_seconds)
    publish_tensorboard(Run(storage, resolved.run))
    lease.require()
    write_record(storage, record)
    add_to_view(storage, record)
    return record


def build_record(resolved: Resolved[TrainedExperiment], findings: Findings, wall_seconds: float) -> Record:
    """Everything needed to trust the findings and to repeat them."""
    experiment = resolved.experiment
    assert isinstance(experiment, BaseModel), "experiments are configuration models"
    return Record(
        run=resolved.run,
        kind=experiment.kind,
        name=experiment.name,
        seed=experiment.seed,
        protocol=experiment.stamp,
        config=experiment.model_dump(mode="json"),
        code_version=code_version(),
        datasets=resolved.datasets,
        parents={**resolved.parents, **findings.parents},
        metrics=findings.metrics,
        curves=findings.curves,
        notes=findings.notes,
        samples_seen=findings.samples_seen,
        device_seconds=findings.device_seconds,
        flops=findings.flops,
        wall_seconds=wall_seconds,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
    )
