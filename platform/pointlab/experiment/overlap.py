"""Whether a transfer chooses on what its backbone was trained on before.

Built-in sets of one kind and seed are made of the same objects, of which another name, size or share parts
others for validation. Files are not looked into here: of a source of them under another name or share it is
said that nobody knows.
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
    or in transfers since; of files, that it cannot be told; nothing where none does."""
    target = experiment.data
    if target.source.needs_root:
        return _note_on_files(experiment)
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


def _note_on_files(experiment: TransferExperiment) -> dict[str, str]:
    """Whose training clouds may be among the validation clouds that are parted from the official split."""
    target = experiment.data
    others = sorted(
        {
            each.name
            for each in trained_on(experiment.pretrained)
            if each.source == target.source and not _is_split_alike(each, target)
        }
    )
    if not others or target.validation_fraction == 0:
        return {}
    return {
        "validation": f"it cannot be told whether clouds of it were trained on: the start has learned of"
        f" {', '.join(others)}, files of the same kind that are split otherwise; an equal name and"
        " validation_fraction would keep them apart"
    }


def _is_split_alike(one: DatasetConfig, other: DatasetConfig) -> bool:
    """Whether equal files become validation in both."""
    return (one.name, one.validation_fraction) == (other.name, other.validation_fraction)


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
