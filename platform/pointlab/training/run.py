"""The folder of a run in the store: its checkpoints and its log.

Checkpoints are artifacts named by step. Object stores cannot append, so the log is uploaded as numbered
parts, one with each checkpoint. Readers take the parts up to the newest whole checkpoint, and resuming
drops later ones: the log equals that of an undisturbed run.
"""

import json
from collections.abc import Mapping
from typing import Any

from pointlab.storage import FileEntry, Storage, read_manifest, seal, whole_artifacts
from pointlab.storage.artifact import put, read_verified, remove

Line = dict[str, float]


class Run:
    """Checkpoints and log of the run called `name`."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Nothing is written until the first checkpoint."""
        self.storage, self.name = storage, name
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

    def put_checkpoint_file(self, step: int, name: str, content: bytes) -> FileEntry:
        """Store one file of a checkpoint that is not whole yet."""
        return put(self.storage, f"{self.checkpoint_path(step)}/{name}", content)

    def seal_checkpoint(self, step: int, files: Mapping[str, FileEntry], details: Mapping[str, Any]) -> None:
        """Make the checkpoint whole."""
        seal(self.storage, self.checkpoint_path(step), "checkpoint", files, details)

    def read_checkpoint(self, step: int) -> dict[str, bytes]:
        """Every file of a whole checkpoint, verified; StorageError if one is damaged."""
        path = self.checkpoint_path(step)
        manifest = read_manifest(self.storage, path)
        assert manifest is not None, f"{path} was listed as whole"
        return {name: read_verified(self.storage, path, name, manifest) for name in manifest.files}

    def retain(self, keep: int) -> None:
        """Delete all but the newest `keep` whole checkpoints."""
        for step in self.checkpoints()[:-keep]:
            remove(self.storage, self.checkpoint_path(step))

    def write_log(self, step: int, lines: list[Line]) -> None:
        """Upload the lines since the last checkpoint as the part of `step`."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self.storage.write(f"{self.path}/metrics/part-{step:08d}.jsonl", text.encode())

    def drop_log_after(self, step: int) -> None:
        """Delete parts that an undisturbed run would not have yet."""
        for part in self._parts():
            if part > step:
                self.storage.delete_file(f"{self.path}/metrics/part-{part:08d}.jsonl")

    def read_log(self) -> list[Line]:
        """All lines up to the newest whole checkpoint, in order."""
        newest = max(self.checkpoints(), default=-1)
        lines: list[Line] = []
        for part in self._parts():
            if part <= newest:
                text = self.storage.read(f"{self.path}/metrics/part-{part:08d}.jsonl").decode()
                lines += [json.loads(line) for line in text.splitlines()]
        return lines

    def _parts(self) -> list[int]:
        names = self.storage.files(f"{self.path}/metrics")
        return sorted(int(name.removeprefix("part-").removesuffix(".jsonl")) for name in names)
