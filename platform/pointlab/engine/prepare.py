"""Preparation on Ray Data: every planned shard is a row, and making it is a task."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import ray.data

from pointlab.data.dataset import DatasetConfig
from pointlab.data.planning import Plan, ShardPlan
from pointlab.data.preparation import NOTES, ShardResult, write_shard
from pointlab.data.source import SourceIndex
from pointlab.engine.session import connect, quiet_ray_data
from pointlab.errors import PointlabError
from pointlab.storage import Storage


def shards_on_ray(
    config: DatasetConfig, plan: Plan, todo: Sequence[ShardPlan], storage: Storage
) -> Iterator[ShardResult]:
    """The shards `todo` of `plan`, made in parallel, in the order in which they are finished.

    An unusable source stops it with the DataError that a loop in this process would have raised, once no task
    writes any more: tasks that begin after the first error make nothing.
    """
    connect()
    quiet_ray_data()
    shards = ray.data.from_items(list(todo), override_num_blocks=len(todo))
    index = replace(plan.index, rows=())
    make = functools.partial(_make, config=config, dataset=plan.name, index=index, storage=storage)
    storage.delete_file(_stop_sign(plan.name))  # of an attempt that was killed
    errors: list[PointlabError] = []
    for row in shards.map(make).iter_rows():
        result = row["result"]
        if isinstance(result, PointlabError):
            if not errors:
                storage.write(_stop_sign(plan.name), b"")
            errors.append(result)
        elif result is not None and not errors:
            yield result
    if errors:
        storage.delete_file(_stop_sign(plan.name))
        raise errors[0]


def _stop_sign(dataset: str) -> str:
    return f"datasets/{dataset}/{NOTES}/stop"


def _make(
    row: dict[str, Any], config: DatasetConfig, dataset: str, index: SourceIndex, storage: Storage
) -> dict[str, Any]:
    """A user's error comes back as a value, so that Ray does not retry it or wrap it in a traceback."""
    try:
        if storage.exists(_stop_sign(dataset)):
            return {"result": None}
        return {"result": write_shard(storage, dataset, config, index, row["item"])}
    except PointlabError as error:
        return {"result": error}
