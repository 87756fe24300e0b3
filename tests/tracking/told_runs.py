"""Two runs to tell of, as they lie in a store: one that trained, with its log, and one that measured."""

import json
import math
from typing import Any

from pointlab.storage import Record, Storage, seal, write_record
from pointlab.tracking import Replay, replay_of
from pointlab.training import Run

TRAINED, MEASURED = "tiny-0a1b-s3", "tiny-eval-77aa-s0-attempt2"
LOSSES = [2.5, 1.25, 0.5]
LONG = ["a" * 100] * 80
"""A setting that is longer than MLflow's parameters may be."""


def trained(storage: Storage) -> Replay:
    """Three logged steps, a validation at the last but one, of which the weights were chosen."""
    run = Run(storage, TRAINED)
    lines: list[dict[str, Any]] = [
        {"step": step, "epoch": step / 2, "samples": 16 * step, "train/loss": loss}
        for step, loss in enumerate(LOSSES, start=1)
    ]
    lines.insert(2, {"step": 2, "epoch": 1.0, "samples": 32, "validation/accuracy": 0.75})
    lines.append({"step": 3, "epoch": 1.5, "samples": 48, "validation/accuracy": 0.625})
    run.write_log(3, lines)
    seal(storage, run.checkpoint_path(3), "checkpoint", {}, {"step": 3})
    record = recorded(
        TRAINED,
        kind="transfer",
        metrics={"validation/accuracy": 0.75, "test/accuracy": 0.5, "corrupted-test/mOA": math.nan},
        parents={"pretrained": "pre-11-s0"},
        samples_seen=48,
    )
    write_record(storage, record)
    return replay_of(storage, record)


def measured(storage: Storage) -> Replay:
    """A run without a log."""
    record = recorded(MEASURED, kind="evaluate", metrics={"test/recall@1": 0.25})
    write_record(storage, record)
    return replay_of(storage, record)


def recorded(run: str, kind: str, **more: Any) -> Record:
    config = {"kind": kind, "training": {"epochs": 2, "optimiser": {"clip_norm": None}}, "long": LONG}
    return Record(
        run=run,
        kind=kind,
        name="tiny",
        seed=3,
        protocol="full, all labels",
        config=config,
        code_version="c0de",
        datasets={"data": "shapes-1234"},
        wall_seconds=90.0,
        finished="2026-03-04T05:06:07+00:00",
        environment={"torch": "2.13"},
        **more,
    )


def same(one: object, other: object) -> bool:
    """Whether two values are equal as JSON, in which no number is a number like any other."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
