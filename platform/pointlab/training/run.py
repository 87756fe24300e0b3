"""The folder of a run in the store: its checkpoints and its log.

Checkpoints are artifacts named by step. Object stores cannot append, so the log is uploaded as numbered
parts, one with each checkpoint. Readers take the parts up to the newest whole checkpoint, and resuming
drops later ones: the log equals that of an undisturbed run.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pointlab.errors import DamagedError, StorageError, UnreachableError
from pointlab.storage import Storage, read_manifest, seal, whole_artifacts
from pointlab.storage.artifact import put, read_verified, remove
from pointlab.storage.lease import Fence, require

Line = dict[str, float]
METRICS, SAMPLES = "metrics", "samples"
"""The two logs: figures, and (where asked for) the ids of every step's samples in the order of the batch."""


class Run:
    """Checkpoints and logs of the run called `name`."""

    def __init__(self, storage: Storage, name: str, fence: Fence | None = None) -> None:
        """Nothing is written until the first checkpoint; with a `fence`, only while its lease holds."""
        self.storage, self.name, self.fence = storage, name, fence
        self.path = f"runs/{name}"

    def checkpoint_path(self, step: int) -> str:
        """Where the checkpoint after `step` steps is kept."""
        return f"{self.path}/checkpoints/step-{step:08d}"

    def checkpoints(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        return [
            int(name.removeprefix("step-"))
            for name in whole_artifacts(self.storage, f"{self.path}/checkpoints")
        ]

    def write_checkpoint(
        self, step: int, contents: Iterable[tuple[str, bytes]], details: Mapping[str, Any]
    ) -> None:
        """Store a checkpoint, verified, its manifest last; where that fails nothing of it stays behind.

        A damaged one of the same step is replaced. Raises StorageError, or LeaseError where another
        process has taken the run over.
        """
        path = self.checkpoint_path(step)
        self.require_lease()
        remove(self.storage, path)
        try:
            files = {name: put(self.storage, f"{path}/{name}", content) for name, content in contents}
            self.require_lease()
            seal(self.storage, path, "checkpoint", files, details)
        except UnreachableError:
            raise  # nothing can be taken back from a store that does not answer
        except StorageError:
            with contextlib.suppress(StorageError):
                remove(self.storage, path)
            raise

    def require_lease(self) -> None:
        """Return while this run is ours to write; LeaseError where another process has taken it over."""
        if self.fence is not None:
            require(self.storage, self.fence)

    def take_over(self, other: "Run") -> None:
        """Begin where the `other` run is, with a copy of its log and of its newest good checkpoint.

        Where this run has begun by itself, or the other has no good checkpoint, nothing is done.
        """
        if self.checkpoints():
            return
        for step in reversed(other.checkpoints()):
            try:
                files = other.read_checkpoint(step)
            except DamagedError:
                continue
            for log in (METRICS, SAMPLES):
                for part in other._parts(log):
                    if part <= step:
                        name = f"{log}/part-{part:08d}.jsonl"
                        self.storage.write(f"{self.path}/{name}", self.storage.read(f"{other.path}/{name}"))
            self.write_checkpoint(step, files.items(), other.checkpoint_details(step))
            return

    def read_checkpoint(self, step: int, skip: Sequence[str] = ()) -> dict[str, bytes]:
        """The files of a whole checkpoint but those to `skip`; DamagedError if one is not what it was."""
        path = self.checkpoint_path(step)
        manifest = read_manifest(self.storage, path)
        assert manifest is not None, f"{path} was listed as whole"
        names = [name for name in manifest.files if name not in skip]
        return {name: read_verified(self.storage, path, name, manifest) for name in names}

    def checkpoint_details(self, step: int) -> dict[str, Any]:
        """What is known about a whole checkpoint: the code and the machine that wrote it."""
        manifest = read_manifest(self.storage, self.checkpoint_path(step))
        assert manifest is not None, f"the checkpoint of step {step} was listed as whole"
        return manifest.details

    def retain(self, keep: int) -> None:
        """Delete all but the newest `keep` whole checkpoints."""
        for step in self.checkpoints()[:-keep]:
            remove(self.storage, self.checkpoint_path(step))

    def write_log(self, step: int, lines: Sequence[Mapping[str, Any]], log: str = METRICS) -> None:
        """Upload the lines since the last checkpoint as the part of `step`."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self.storage.write(f"{self.path}/{log}/part-{step:08d}.jsonl", text.encode())

    def drop_after(self, step: int) -> None:
        """Delete what an undisturbed run would not have yet: parts of the logs, and later checkpoints.

        Those are damaged or never became whole, for the newest good one was chosen; left there, they would
        count as newer than all that is written before their step comes again.
        """
        for name in self.storage.folders(f"{self.path}/checkpoints"):
            if int(name.removeprefix("step-")) > step:
                remove(self.storage, f"{self.path}/checkpoints/{name}")
        for log in (METRICS, SAMPLES):
            for part in self._parts(log):
                if part > step:
                    self.storage.delete_file(f"{self.path}/{log}/part-{part:08d}.jsonl")

    def read_log(self) -> list[Line]:
        """All lines of figures up to the newest whole checkpoint, in order."""
        return self._read(METRICS)

    def read_samples(self) -> list[list[int]]:
        """Sample ids of every step up to the newest whole checkpoint, where they were logged."""
        return [line["ids"] for line in self._read(SAMPLES)]

    def _read(self, log: str) -> list[dict[str, Any]]:
        newest = max(self.checkpoints(), default=-1)
        lines: list[dict[str, Any]] = []
        for part in self._parts(log):
            if part <= newest:
                text = self.storage.read(f"{self.path}/{log}/part-{part:08d}.jsonl").decode()
                lines += [json.loads(line) for line in text.splitlines()]
        return lines

    def _parts(self, log: str) -> list[int]:
        names = self.storage.files(f"{self.path}/{log}")
        return sorted(int(name.removeprefix("part-").removesuffix(".jsonl")) for name in names)

    def fault_path(self, step: int) -> str:
        """Full address of what is known about a step that went wrong."""
        return self.storage.locate(f"{self.path}/faults/step-{step:08d}.json")

    def write_fault(self, step: int, workers: Sequence[Mapping[str, Any]]) -> None:
        """Keep, for every worker, what it had in a step that went wrong."""
        content = json.dumps({"step": step, "workers": list(workers)}, indent=1)
        self.storage.write(f"{self.path}/faults/step-{step:08d}.json", content.encode())
