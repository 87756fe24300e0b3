"""All records of a store as one table, in Parquet files that only ever grow in number.

`records/<run>.parquet` has a row for each metric of one finished run, and is made from its record alone:
pandas, DuckDB, Polars and Spark read the folder as one table, without pointlab. A run of a second attempt has
another name, so no file is ever changed, and a write is whole or not there.
"""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pointlab.storage.address import Storage
from pointlab.storage.record import Record, read_record

FOLDER_OF_VIEW = "records"
REPEATED = pa.dictionary(pa.int32(), pa.string())
"""Long texts that are the same in every row of a run, and are held once."""
SCHEMA = pa.schema(
    {
        "run": pa.string(),
        "kind": pa.string(),
        "name": pa.string(),
        "seed": pa.int64(),
        "protocol": pa.string(),
        "code_version": pa.string(),
        "finished": pa.timestamp("s", tz="UTC"),
        "samples_seen": pa.int64(),
        "flops": pa.float64(),
        "device_seconds": pa.float64(),
        "wall_seconds": pa.float64(),
        "config": REPEATED,
        "datasets": REPEATED,
        "parents": REPEATED,
        "metric": pa.string(),
        "value": pa.float64(),
    }
)
"""`config`, `datasets` and `parents` are JSON."""


def table_of(record: Record) -> pa.Table:
    """A row for each metric, and one without a metric for a record that has none, lest the run be missing."""
    values = record.model_dump(mode="json")
    texts = {name: json.dumps(values[name]) for name in ("config", "datasets", "parents")}
    when = pa.scalar(record.finished or None, pa.string()).cast(SCHEMA.field("finished").type)
    shared = values | texts | {"finished": when}
    names: Sequence[str | None] = sorted(record.metrics) or (None,)
    measured = {"metric": list(names), "value": [record.metrics.get(name or "") for name in names]}
    columns = [
        pa.array(measured[field.name], field.type)
        if field.name in measured
        else pa.repeat(shared[field.name], len(names)).cast(field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def add_to_view(storage: Storage, record: Record) -> None:
    """Write the file of this record; nothing changes where it is there already."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table_of(record), buffer)
    storage.write(_path(record.run), buffer.getvalue().to_pybytes())


def complete_view(storage: Storage) -> list[str]:
    """Add what the view lacks, such as runs from before there was one, and return their names."""
    there, added = set(storage.files(FOLDER_OF_VIEW)), []
    for run in storage.folders("runs"):
        if f"{run}.parquet" in there:
            continue
        if (record := read_record(storage, run)) is not None:
            add_to_view(storage, record)
            added.append(run)
    return added


def _path(run: str) -> str:
    return f"{FOLDER_OF_VIEW}/{run}.parquet"
