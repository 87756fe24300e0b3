"""What a preparation will make, fixed from names and headers alone: splits, global shuffle, shard borders.

A plan depends on the configuration and on what the source lists, never on who carries it out or in which
order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pointlab.data.catalogue import UNKNOWN, Card
from pointlab.data.dataset import DatasetConfig, dataset_id, source_digests
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
    """A whole preparation: the set's name, what the source holds, every shard, sha256 of the source files."""

    name: str
    index: SourceIndex
    shards: tuple[ShardPlan, ...]
    source_files: Mapping[str, str]


def make_plan(config: DatasetConfig) -> Plan:
    """Shards of the set that `config` describes; DataError where the source is not as it should be."""
    index = config.source.index(config.root_path)
    index = replace(index, card=_card(config, index.card))
    by_split = assign_splits(config, index)
    shards = [shard for split in SPLITS for shard in _shards_of(config, split, by_split[split])]
    if not shards:
        raise DataError(f"The source of {config.name} holds no clouds at all.", remedy="check its settings")
    return Plan(dataset_id(config, index), index, tuple(shards), source_digests(config, index))


def _card(config: DatasetConfig, found: Card) -> Card:
    """That of the source, unless the user says that this is another set in the layout of a published one."""
    if config.origin is None and config.licence is None:
        return found
    is_own = found.name == UNKNOWN.name
    own = found if is_own else replace(UNKNOWN, scale=found.scale, known_defects=found.known_defects)
    return replace(own, title=config.origin or own.title, licence=config.licence or own.licence)


def sample_id(config: DatasetConfig, row: SourceRow) -> int:
    """Identity of a source row: stable under resampling, splitting and the order of reading."""
    return stable_integer(config.name, row.file, row.row)


def assign_splits(config: DatasetConfig, index: SourceIndex) -> dict[Split, list[SourceRow]]:
    """Rows by split; where the source has no validation split, the lowest hashes of each class become it.

    Rows of one group stay together, so that a scene never lies on both sides.
    """
    by_split: dict[Split, list[SourceRow]] = {split: [] for split in SPLITS}
    for row in index.rows:
        by_split[row.split].append(row)
    if by_split["validation"] or config.validation_fraction == 0:
        return by_split
    train, by_split["train"] = by_split["train"], []
    by_class: dict[int | None, list[list[SourceRow]]] = {}
    for together in _units(config, train, is_grouped=index.is_grouped):
        by_class.setdefault(together[0].label, []).append(together)
    for units in by_class.values():
        num_rows = sum(len(unit) for unit in units)
        wanted = min(math.ceil(num_rows * config.validation_fraction), num_rows - len(units[-1]))
        for unit in units:
            chosen: Split = "validation" if wanted > 0 else "train"
            by_split[chosen] += unit
            wanted -= len(unit)
    return by_split


def _units(config: DatasetConfig, rows: list[SourceRow], *, is_grouped: bool) -> list[list[SourceRow]]:
    """Rows that may not be parted, the unit with the lowest hash first: single ones, or whole groups."""
    members: dict[str | int, list[SourceRow]] = {}
    for row in rows:
        identity = sample_id(config, row)
        members.setdefault(row.group if is_grouped and row.group else identity, []).append(row)
    keys = {key: key if isinstance(key, int) else stable_integer(config.name, key) for key in members}
    return [members[key] for key in sorted(members, key=lambda key: keys[key])]


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
