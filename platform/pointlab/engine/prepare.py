"""Preparation on Ray Data: every planned shard is a row, and making it is a task."""

import functools
from dataclasses import replace
from typing import Any

import ray.data

from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import Plan
from pointlab.data.preparation import ShardResult, finish, write_shard
from pointlab.data.source import SourceIndex
from pointlab.engine.session import connect, quiet_ray_data
from pointlab.errors import PointlabError
from pointlab.storage import Storage
from pointlab.training import Watcher


def prepare_on_ray(config: DatasetConfig, plan: Plan, storage: Storage, watcher: Watcher) -> None:
    """Make all shards of `plan` in parallel, then the set's manifest.

    An unusable source stops it with the DataError that a loop in this process would have raised.
    """
    connect()
    quiet_ray_data()
    shards = ray.data.from_items(list(plan.shards), override_num_blocks=len(plan.shards))
    index = replace(plan.index, rows=())
    make = functools.partial(_make, config=config, dataset=plan.name, index=index, storage=storage)
    results: list[ShardResult] = []
    for row in shards.map(make).iter_rows():
        if isinstance(row["result"], PointlabError):
            raise row["result"]
        results.append(row["result"])
        watcher(plan.name, len(results), len(plan.shards), {})
    finish(storage, config, plan, results)


def _make(
    row: dict[str, Any], config: DatasetConfig, dataset: str, index: SourceIndex, storage: Storage
) -> dict[str, Any]:
    """A user's error comes back as a value, so that Ray does not retry it or wrap it in a traceback."""
    try:
        return {"result": write_shard(storage, dataset, config, index, row["item"])}
    except PointlabError as error:
        return {"result": error}
