"""Which versions are at work in a process: of Python, Ray, torch and pointlab."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pointlab.doctor.finding import Finding, failed, passed
from pointlab.provenance import code_version, environment

COMPARED = ("python", "ray", "torch", "pointlab")


def versions() -> dict[str, str]:
    """Those of this process; pointlab's with a digest of its source."""
    found = environment() | {"pointlab": code_version()}
    return {name: found[name] for name in COMPARED}


def differences(own: Mapping[str, str], other: Mapping[str, str]) -> str:
    """In what another process differs from this one, in words; empty where it does not."""
    return ", ".join(
        f"{name} {other[name]} instead of {own[name]}"
        for name in COMPARED
        if name in other and own[name] != other[name]
    )


@dataclass(frozen=True)
class Environment:
    """This process: that all is installed, and in which version."""

    name: str = "environment"
    seconds: float = 30.0

    def run(self) -> Iterator[Finding]:
        """The versions, which a report of a defect needs as well."""
        found = versions()
        told = ", ".join(f"{name} {version}" for name, version in found.items())
        if "not installed" in found.values():
            yield failed(told, "install pointlab with its dependencies: `pip install pointlab`")
        else:
            yield passed(f"{told}, on {environment()['device']}")
