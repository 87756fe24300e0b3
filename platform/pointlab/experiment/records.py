"""The record of a finished experiment, with the code and machine that made it."""

import datetime

from pydantic import BaseModel

from pointlab.experiment.resolve import Findings, Resolved, TrainedExperiment
from pointlab.provenance import code_version, environment
from pointlab.storage import Record


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
