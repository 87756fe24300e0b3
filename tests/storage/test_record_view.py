"""The table of all records: other programs read it, and it is made from the records alone."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from pointlab.storage import Record, Storage, open_storage, write_record
from pointlab.storage.record_view import add_to_view, complete_view

METRICS = {"test/accuracy": 0.75, "validation/accuracy": 0.5}


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """A store without anything in it."""
    return open_storage(str(tmp_path))


def finished(storage: Storage, run: str, **fields: Any) -> Record:
    """The record of a run, in the store and not in its table."""
    about = {"kind": "transfer", "name": "made", "seed": 3, "protocol": "full", "code_version": "1"}
    record = Record(
        **(about | {"run": run, "config": {"training": {"epochs": 2}}, "metrics": METRICS} | fields)
    )
    write_record(storage, record)
    return record


def test_pandas_reads_a_row_for_each_metric_with_what_the_record_says(store: Storage) -> None:
    costs = {"samples_seen": 64, "flops": 1e12, "device_seconds": 2.5, "wall_seconds": 3.5}
    names = {"datasets": {"data": "shapes-1"}, "parents": {"pretrained": "before-2-s3"}}
    when = "2026-05-04T03:02:01+00:00"
    add_to_view(store, finished(store, "made-1-s3", finished=when, **costs, **names))
    table = pd.read_parquet(store.locate("records"))
    assert dict(zip(table["metric"], table["value"], strict=True)) == METRICS
    row = table.iloc[0]
    assert row[["run", "kind", "name", "protocol"]].tolist() == ["made-1-s3", "transfer", "made", "full"]
    assert row["seed"] == 3
    assert row[list(costs)].to_dict() == costs
    assert row["finished"] == pd.Timestamp(when)
    assert json.loads(row["config"]) == {"training": {"epochs": 2}}
    assert {name: json.loads(row[name]) for name in names} == names


def test_many_files_are_one_table_to_pandas_and_duckdb(store: Storage) -> None:
    for seed in range(3):
        metrics = METRICS | {f"only/{seed}": 1.0}
        add_to_view(
            store, finished(store, f"made-1-s{seed}", seed=seed, config={"seed": seed}, metrics=metrics)
        )
    folder = store.locate("records")
    assert pd.read_parquet(folder).groupby("run", observed=True)["value"].count().to_dict() == {
        f"made-1-s{seed}": 3 for seed in range(3)
    }
    found = duckdb.sql(
        "select seed, (config ->> 'seed')::int, value"
        f" from '{folder}/*.parquet' where metric = 'test/accuracy' order by seed"
    ).fetchall()
    assert found == [(seed, seed, 0.75) for seed in range(3)]


def test_a_run_without_metrics_or_a_time_is_not_lost(store: Storage) -> None:
    add_to_view(store, finished(store, "bare-1-s0", metrics={}))
    (row,) = pd.read_parquet(store.locate("records")).to_dict("records")
    assert row["run"] == "bare-1-s0"
    assert pd.isna([row["metric"], row["value"], row["finished"]]).all()


def test_what_is_missing_is_added_once_and_what_is_there_stays_as_it_is(store: Storage) -> None:
    """Every file has the bytes that it would have had when the run ended."""
    add_to_view(store, finished(store, "new-1-s0"))
    old = finished(store, "old-1-s0")
    store.write("runs/begun-1-s0/config.yaml", b"kind: pretrain\n")
    before = store.read("records/new-1-s0.parquet")
    assert complete_view(store) == ["old-1-s0"]
    assert complete_view(store) == []
    assert store.files("records") == ["new-1-s0.parquet", "old-1-s0.parquet"]
    assert store.read("records/new-1-s0.parquet") == before
    added = store.read("records/old-1-s0.parquet")
    add_to_view(store, old)
    assert store.read("records/old-1-s0.parquet") == added


def test_a_store_on_s3_has_the_same_table(s3_storage: Storage) -> None:
    finished(s3_storage, "far-1-s0")
    assert complete_view(s3_storage) == ["far-1-s0"]
    table = pd.read_parquet(s3_storage.locate("records"))
    assert dict(zip(table["metric"], table["value"], strict=True)) == METRICS
