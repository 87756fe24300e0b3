"""Whether a transfer chooses on what its pretraining was trained on.

Built-in sets of one kind and seed are made of the same objects, of which another name, size or share parts
others for validation. Sets of files keep to their official splits and are not looked into.
"""

from typing import Any

from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import assign_splits
from pointlab.data.source import Split


def note_on_overlap(target: DatasetConfig, trained_on: DatasetConfig) -> dict[str, str]:
    """How many of the target's validation clouds show objects that are in the training split of `trained_on`;
    nothing where none does."""
    if target.source.needs_root or _stream(target) != _stream(trained_on):
        return {}
    validation = _rows(target, "validation")
    shared = validation & _rows(trained_on, "train")
    if not shared:
        return {}
    return {
        "validation": f"{len(shared)} of {len(validation)} clouds show objects that the pretraining was"
        " trained on, which may flatter what is chosen by them; equal data, or another seed of the source,"
        " would keep them apart"
    }


def _stream(config: DatasetConfig) -> tuple[str, Any]:
    return config.source.kind, getattr(config.source, "seed", None)


def _rows(config: DatasetConfig, split: Split) -> set[tuple[str, int]]:
    """Which rows become this split, found without making a cloud."""
    rows = assign_splits(config, config.source.index(None))[split]
    return {(row.file, row.row) for row in rows}
