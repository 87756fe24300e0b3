"""What is told of a run: its settings, its log step by step, what it found, and where all that came from."""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pointlab.storage import Record, Storage
from pointlab.training import Run

SELECTED = "selected/"
"""Before a record's figure of which the log has a curve: it is that of the step that was chosen."""
COSTS = ("samples_seen", "flops", "device_seconds", "wall_seconds")


@dataclass(frozen=True)
class Replay:
    """One finished run, in the order in which it happened."""

    record: Record
    lines: tuple[tuple[int, dict[str, float]], ...]
    """Step and figures, as they were logged; no line has a time of its own."""

    @property
    def finished(self) -> datetime.datetime:
        """When the record was written."""
        return datetime.datetime.fromisoformat(self.record.finished)

    @property
    def begun(self) -> datetime.datetime:
        """When the attempt that finished it had begun."""
        return self.finished - datetime.timedelta(seconds=self.record.wall_seconds)

    @property
    def figures(self) -> dict[str, float]:
        """What the record says, and what it took."""
        curves = {name for _, figures in self.lines for name in figures}
        found = {
            f"{SELECTED}{name}" if name in curves else name: value
            for name, value in self.record.metrics.items()
        }
        return found | {f"cost/{name}": float(getattr(self.record, name)) for name in COSTS}

    @property
    def settings(self) -> dict[str, str]:
        """Every setting by its dotted path; lists as JSON."""
        return dict(_leaves(self.record.config, ()))

    @property
    def origin(self) -> dict[str, str]:
        """What the run is, and what it rests on."""
        record = self.record
        own = {name: str(getattr(record, name)) for name in ("run", "kind", "name", "seed", "protocol")}
        return {
            **own,
            "code_version": record.code_version,
            **{f"dataset.{role}": name for role, name in record.datasets.items()},
            **{f"parent.{role}": run for role, run in record.parents.items()},
            **{f"environment.{name}": value for name, value in record.environment.items()},
        }


def replay_of(storage: Storage, record: Record) -> Replay:
    """The run of this record, with its log; a run that trains nothing has none."""
    lines = (
        (int(line["step"]), {name: float(value) for name, value in line.items() if name != "step"})
        for line in Run(storage, record.run).read_log()
    )
    return Replay(record, tuple(lines))


def _leaves(settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield ".".join(here), value if isinstance(value, str) else json.dumps(value)
