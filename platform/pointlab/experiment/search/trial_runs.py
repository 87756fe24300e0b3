"""The runs of a trial: its transfer, and before a mixture the fine-tuning, whose epochs a scheduler judges.

Trials that differ in nothing but the mixture share the fine-tuning.
"""

import time
from collections.abc import Callable, Mapping

from pointlab.errors import LeaseError
from pointlab.experiment.records import finish
from pointlab.experiment.resolve import Findings, Resolved, make_definite
from pointlab.experiment.transfer import TransferExperiment
from pointlab.storage import Record, Storage, read_record
from pointlab.storage.lease import Fence, hold

CarryOut = Callable[[Resolved[TransferExperiment], Fence], Findings]
"""Carries out one of the runs, as long as its lease is held."""
Begin = Callable[[Resolved[TransferExperiment]], None]
"""Told of each run when its lease is held, whether it is to be made or is there already."""


BEGUN_BY = "begun-by"
"""File of a run that a search has begun, with the search's name: nobody else is to go on from its
checkpoints."""


def runs_of_trial(
    trial: TransferExperiment, datasets: Mapping[str, str], origins: Mapping[str, str]
) -> list[Resolved[TransferExperiment]]:
    """The runs of a trial, its own last, given its prepared sets and the finished runs of its origins."""
    before: list[Resolved[TransferExperiment]] = []
    parents = dict(origins)
    for role, fine_tuning in trial.fine_tunings.items():
        before += runs_of_trial(fine_tuning, datasets, origins)
        parents[role] = before[-1].run
    return [*before, make_definite(trial, dict(datasets), parents)]


def make_in_turn(
    runs: list[Resolved[TransferExperiment]], storage: Storage, carry_out: CarryOut, begin: Begin
) -> list[Record]:
    """The record of each run, made now where there is none; one that another process is at is waited for."""
    return [_make(resolved, storage, carry_out, begin) for resolved in runs]


def note_begun(storage: Storage, run: str, search: str) -> None:
    """Note that the search begins this run, unless somebody has begun it before; its lease is held."""
    path = f"runs/{run}"
    if "config.yaml" not in storage.files(path) and "checkpoints" not in storage.folders(path):
        storage.write(f"{path}/{BEGUN_BY}", search.encode())


def clear_begun(storage: Storage, run: str, search: str) -> None:
    """Delete what an unfinished run has, its lease apart, if the search has begun it and nobody is at it."""
    path = f"runs/{run}"
    try:
        with hold(storage, f"{path}/lease", "clearing up after a search", wait=False):
            files = storage.files(path)
            is_known = read_record(storage, run) is not None or "config.yaml" in files
            if is_known or BEGUN_BY not in files:
                return
            if storage.read(f"{path}/{BEGUN_BY}").decode() == search:
                for folder in set(storage.folders(path)) - {"lease"}:
                    storage.delete_folder(f"{path}/{folder}")
                storage.delete_file(f"{path}/{BEGUN_BY}")
    except LeaseError:
        return


def _make(
    resolved: Resolved[TransferExperiment], storage: Storage, carry_out: CarryOut, begin: Begin
) -> Record:
    with hold(storage, f"runs/{resolved.run}/lease", "a trial of a search", wait=True) as lease:
        begin(resolved)
        record = read_record(storage, resolved.run)
        if record is None:
            started = time.monotonic()
            findings = carry_out(resolved, lease.fence)
            record = finish(resolved, findings, time.monotonic() - started, storage, lease)
    return record
