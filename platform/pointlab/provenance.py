"""Which code and which machine a result comes from: what its last bits may depend on."""

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

import pointlab


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
        "processor": torch.backends.cpu.get_cpu_capability(),
        "cpus": str(os.cpu_count()),
        "device": device,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # everything below the engine works without ray
        return "not installed"
