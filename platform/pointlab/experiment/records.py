"""The record of a finished experiment, with the code and machine that made it."""

import datetime
import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import torch
from pydantic import BaseModel

import pointlab
from pointlab.experiment.resolve import Findings, Resolved, TrainedExperiment
from pointlab.storage import Record


@cache
def code_version() -> str:
    """Version of pointlab and a digest of its source: two runs of equal versions ran equal code."""
    digest = hashlib.sha256()
    package = Path(pointlab.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return f"{pointlab.__version__}+{digest.hexdigest()[:10]}"


def environment() -> dict[str, str]:
    """What the last bits of a result may depend on."""
    found = {package: _version(package) for package in ("torch", "numpy", "ray")}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return found | {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        "device": device,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # everything below the engine works without ray
        return "not installed"


def build_record(resolved: Resolved[TrainedExperiment], findings: Findings, wall_seconds: float) -> Record:
    """Everything needed to trust the findings and to repeat them."""
    experiment = resolved.experiment
    assert isinstance(experiment, BaseModel), "experiments are configuration models"
    return Record(
        run=resolved.run,
        kind=experiment.kind,
        name=experiment.name,
        seed=experiment.seed,
        protocol=experiment.protocol,
        config=experiment.model_dump(mode="json"),
        code_version=code_version(),
        datasets=resolved.datasets,
        parents=resolved.parents,
        metrics=findings.metrics,
        curves=findings.curves,
        notes=findings.notes,
        samples_seen=findings.samples_seen,
        device_seconds=findings.device_seconds,
        wall_seconds=wall_seconds,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
    )
