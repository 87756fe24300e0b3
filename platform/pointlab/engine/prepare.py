"""Preparation on Ray Data: every planned shard is a row, and making it is a task."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import ray.data

from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import Plan, ShardPlan
from pointlab.data.preparation import ShardResult, write_shard
from pointlab.data.source import SourceIndex
from pointlab.engine.session import connect, quiet_ray_data
from pointlab.errors import PointlabError
from pointlab.storage import Storage


def shards_on_ray(
    config: DatasetConfig, plan: Plan, todo: Sequence[ShardPlan], storage: Storage
) -> Iterator[ShardResult]:
    """The shards `todo` of `plan`, made in parallel, in the order in which they are finished.

    An unusable source stops it with the DataError that a loop in this process would have raised.
    """
    connect()
    quiet_ray_data()
    shards = ray.data.from_items(list(todo), override_num_blocks=len(todo))
    index = replace(plan.index, rows=())
    make = functools.partial(_make, config=config, dataset=plan.name, index=index, storage=storage)
    for row in shards.map(make).iter_rows():
        if isinstance(row["result"], PointlabError):
            raise row["result"]
        yield row["result"]


def _make(
    row: dict[str, Any], config: DatasetConfig, dataset: str, index: SourceIndex, storage: Storage
) -> dict[str, Any]:
    """A user's error comes back as a value, so that Ray does not retry it or wrap it in a traceback."""
    try:
        return {"result": write_shard(storage, dataset, config, index, row["item"])}
    except PointlabError as error:
        return {"result": error}
