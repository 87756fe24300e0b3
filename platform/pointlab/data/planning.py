"""What a preparation will make, fixed from names and headers alone: splits, global shuffle, shard borders.

A plan depends on the configuration and on what the source lists, never on who carries it out or in which
order.
"""

import math
from dataclasses import dataclass

from pointlab.data.dataset import DatasetConfig, dataset_id
from pointlab.data.source import SPLITS, SourceIndex, SourceRow, Split
from pointlab.errors import DataError
from pointlab.seeding import generator, stable_integer


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be made: its file name and the rows in it, with their sample ids."""

    file: str
    split: Split
    rows: tuple[SourceRow, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A whole preparation: the set's name, what the source holds, and every shard."""

    name: str
    index: SourceIndex
    shards: tuple[ShardPlan, ...]


def make_plan(config: DatasetConfig) -> Plan:
    """Shards of the set that `config` describes; DataError where the source is not as it should be."""
    index = config.source.index(config.root_path)
    by_split = _assign_splits(config, index)
    shards = [shard for split in SPLITS for shard in _shards_of(config, split, by_split[split])]
    if not shards:
        raise DataError(f"The source of {config.name} holds no clouds at all.", remedy="check its settings")
    return Plan(dataset_id(config, index), index, tuple(shards))


def sample_id(config: DatasetConfig, row: SourceRow) -> int:
    """Identity of a source row: stable under resampling, splitting and the order of reading."""
    return stable_integer(config.name, row.file, row.row)


def _assign_splits(config: DatasetConfig, index: SourceIndex) -> dict[Split, list[SourceRow]]:
    """Rows by split; where the source has no validation split, the lowest hashes of each class become it."""
    by_split: dict[Split, list[SourceRow]] = {split: [] for split in SPLITS}
    for row in index.rows:
        by_split[row.split].append(row)
    if by_split["validation"] or config.validation_fraction == 0:
        return by_split
    by_class: dict[int | None, list[SourceRow]] = {}
    for row in by_split["train"]:
        by_class.setdefault(row.label, []).append(row)
    by_split["train"] = []
    for rows in by_class.values():
        rows.sort(key=lambda row: sample_id(config, row))
        held_out = min(math.ceil(len(rows) * config.validation_fraction), len(rows) - 1)
        by_split["validation"] += rows[:held_out]
        by_split["train"] += rows[held_out:]
    return by_split


def _shards_of(config: DatasetConfig, split: Split, rows: list[SourceRow]) -> list[ShardPlan]:
    keyed = sorted(((sample_id(config, row), row) for row in rows), key=lambda pair: pair[0])
    order = generator("shard order", config.name, split).permutation(len(keyed))
    shuffled = [keyed[position] for position in order]
    size = config.clouds_per_shard
    num_shards = math.ceil(len(rows) / size)
    shards = []
    for number in range(num_shards):
        part = shuffled[number * size : (number + 1) * size]
        shards.append(
            ShardPlan(
                file=f"{split}-{number:05d}-of-{num_shards:05d}.parquet",
                split=split,
                rows=tuple(row for _, row in part),
                ids=tuple(identity for identity, _ in part),
            )
        )
    return shards
