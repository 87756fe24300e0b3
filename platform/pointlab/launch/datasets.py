"""Datasets: the prepared set that an experiment uses, found in the store or made now."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pointlab.data.checks import require_no_warnings
from pointlab.data.completion import finish
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.data.manifest import read_dataset
from pointlab.data.planning import Plan, ShardPlan, make_plan
from pointlab.data.preparation import ShardResult, stored_shards, write_shard
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import LaunchConfig
from pointlab.storage import Storage, read_manifest
from pointlab.storage.lease import hold
from pointlab.training import Watcher

logger = logging.getLogger(__name__)


def require_roots(datasets: Mapping[str, DatasetConfig], storage: Storage) -> None:
    """Return if every set is prepared or can be; ConfigError names those that have no source folder.

    Asked before the first of them is prepared, which may take long.
    """
    missing = [
        f"{config.name} ({role}, kind {config.source.kind})"
        for role, config in datasets.items()
        if config.root is None and config.source.needs_root and find_prepared(config, storage) is None
    ]
    if missing:
        raise ConfigError(
            f"{storage.address} has no {' and no '.join(missing)}, and their root is not given.",
            expected="prepared sets, or the folder of each one's files",
            remedy="give the folder as the root beside each source, as in --set data.root=/path/to/files,"
            " or in a study --set routes.ROUTE.transfer.data.root=/path/to/files",
        )


def ensure_prepared(config: DatasetConfig, storage: Storage, launch: LaunchConfig, watcher: Watcher) -> str:
    """Name of the set, prepared now if it is not there; DataError if `launch.strict` and it has warnings."""
    name = find_prepared(config, storage) or prepare(config, storage, launch, watcher)
    if launch.strict:
        require_no_warnings(read_dataset(storage, name).findings, name, launch.accept)
    return name


def prepare(config: DatasetConfig, storage: Storage, launch: LaunchConfig, watcher: Watcher) -> str:
    """Name of the set, prepared now: in parallel on Ray, or in this process.

    A preparation that was killed goes on; another one of the same set is waited for. What ends with a
    DataError leaves nothing behind, unless the source's folder is gone: then the disk is, not the data.
    """
    plan = make_plan(config)
    with hold(storage, f"leases/{plan.name}/lease", f"preparation of {plan.name}", wait=True):
        if read_manifest(storage, f"datasets/{plan.name}") is not None:  # by whoever held the lease before
            return plan.name
        try:
            _prepare(config, plan, storage, launch, watcher)
        except DataError:
            if config.root_path is None or config.root_path.is_dir():
                storage.delete_folder(f"datasets/{plan.name}")
            raise
    return plan.name


def _prepare(
    config: DatasetConfig, plan: Plan, storage: Storage, launch: LaunchConfig, watcher: Watcher
) -> None:
    """Make the shards that are not there yet, and the set whole."""
    logger.info("Preparing %s: %d clouds in %d shards", plan.name, len(plan.index.rows), len(plan.shards))
    if notice := plan.index.card.notice():  # a set is prepared at its first use
        logger.info("%s: %s", config.name, notice, extra={"card": plan.index.card})
    done = {result.file: result for result in stored_shards(storage, plan)}
    if done:
        logger.info("%s: %d of %d shards are there already", plan.name, len(done), len(plan.shards))
    todo = [shard for shard in plan.shards if shard.file not in done]
    for result in _shards(config, plan, todo, storage, launch):
        done[result.file] = result
        watcher(plan.name, len(done), len(plan.shards), {})
    finish(storage, config, plan, list(done.values()))


def _shards(
    config: DatasetConfig, plan: Plan, todo: Sequence[ShardPlan], storage: Storage, launch: LaunchConfig
) -> Iterator[ShardResult]:
    """The shards `todo`, stored: in parallel on Ray, or one after the other in this process."""
    if launch.kind == "ray" and todo:
        from pointlab.engine.prepare import shards_on_ray

        yield from shards_on_ray(config, plan, todo, storage)
        return
    index = replace(plan.index, rows=())
    for shard in todo:
        yield write_shard(storage, plan.name, config, index, shard)
