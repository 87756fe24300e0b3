"""Whether a transfer chooses on what its backbone was trained on before.

Built-in sets of one kind and seed are made of the same objects, of which another name, size or share parts
others for validation. Sets of files keep to their official splits and are not looked into.
"""

from collections.abc import Iterator
from typing import Any

from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import assign_splits
from pointlab.data.source import Split
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.transfer import TransferExperiment


def note_on_overlap(experiment: TransferExperiment) -> dict[str, str]:
    """How many of the target's validation clouds show objects that the start was trained on, in pretraining
    or in transfers since; nothing where none does."""
    target = experiment.data
    if target.source.needs_root:
        return {}
    seen = [each for each in trained_on(experiment.pretrained) if _stream(each) == _stream(target)]
    validation = _rows(target, "validation") if seen else set()
    shared = validation & set().union(*(_rows(each, "train") for each in seen))
    if not shared:
        return {}
    return {
        "validation": f"{len(shared)} of {len(validation)} clouds show objects that the start was trained on,"
        " which may flatter what is chosen by them; equal data, or another seed of the source, would keep"
        " them apart"
    }


def trained_on(start: Any) -> Iterator[DatasetConfig]:
    """The sets on whose training splits the backbone of `start` has learned; of an import none is known."""
    if isinstance(start, TransferExperiment):
        if start.trains:
            yield start.data
        yield from trained_on(start.pretrained)
    elif isinstance(start, PretrainExperiment):
        yield start.data


def _stream(config: DatasetConfig) -> tuple[str, Any]:
    return config.source.kind, getattr(config.source, "seed", None)


def _rows(config: DatasetConfig, split: Split) -> set[tuple[str, int]]:
    """Which rows become this split, found without making a cloud."""
    rows = assign_splits(config, config.source.index(None))[split]
    return {(row.file, row.row) for row in rows}
