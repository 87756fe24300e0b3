"""What was run: one row for every record on the page, with all that is needed to repeat it."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from pointlab.report.collect import Material
from pointlab.report.wording import duration, role_name
from pointlab.storage import Record

MOST_ROLES = 3
"""Of one dataset, that are told by name."""


@dataclass(frozen=True)
class RunRow:
    """A record with its sizes and times in words; `anchor` is where the page tells of it."""

    record: Record
    anchor: str
    datasets: tuple[tuple[str, str], ...]
    """What each dataset was to the run, and its name."""
    facts: tuple[tuple[str, str], ...]
    """What the run noted, and the machine and software that it ran on."""
    samples: str
    device_time: str
    wall_time: str
    config: str
    """The resolved configuration, as YAML."""


def run_rows(material: Material) -> list[RunRow]:
    """A row for every record, parents before their children."""
    anchors = anchors_of(material)
    return [_row(record, anchors) for record in material.records]


def anchors_of(material: Material) -> dict[str, str]:
    """Where on the page each run is told of; numbered, as a run's name may hold anything."""
    return {record.run: f"run-{number}" for number, record in enumerate(material.records, start=1)}


def _row(record: Record, anchors: dict[str, str]) -> RunRow:
    return RunRow(
        record=record,
        anchor=anchors[record.run],
        datasets=tuple((_told(roles), name) for name, roles in _roles(record).items()),
        facts=(*record.notes.items(), *record.environment.items()),
        samples=f"{record.samples_seen:,}",
        device_time=duration(record.device_seconds),
        wall_time=duration(record.wall_seconds),
        config=yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True),
    )


def _roles(record: Record) -> dict[str, list[str]]:
    """The datasets of a run, each with its roles: a study has the same one in many."""
    roles: dict[str, list[str]] = {}
    for role, name in record.datasets.items():
        roles.setdefault(name, []).append(role_name(record.kind, role))
    return roles


def _told(roles: Sequence[str]) -> str:
    """By name, where they are few or one is left."""
    more = len(roles) - MOST_ROLES
    if more <= 1:
        return ", ".join(roles)
    return f"{', '.join(roles[:MOST_ROLES])}, and {more} more"
