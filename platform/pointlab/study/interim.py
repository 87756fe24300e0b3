"""What an unfinished study has found so far: no artifact and no record, replaced with every step."""

from pointlab.experiment.records import build_record
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.study import StudyExperiment
from pointlab.storage import Record, Storage

FILE = "so-far.json"


def write_interim(
    storage: Storage, resolved: Resolved[StudyExperiment], findings: Findings, seconds: float
) -> None:
    """Replace what is known of the study."""
    record = build_record(resolved, findings, seconds)
    storage.write(_path(resolved.run), record.model_dump_json(indent=1).encode())


def read_interim(storage: Storage, run: str) -> Record | None:
    """What is known of a study that has no record yet; None for other runs, and where nothing is known."""
    path = _path(run)
    return Record.model_validate_json(storage.read(path)) if storage.exists(path) else None


def forget_interim(storage: Storage, run: str) -> None:
    """Remove it, as the study's record takes its place."""
    storage.delete_file(_path(run))


def _path(run: str) -> str:
    return f"runs/{run}/{FILE}"
