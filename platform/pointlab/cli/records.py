"""`pointlab records`: the table of all records, which other programs read."""

from collections.abc import Callable

from pointlab.cli.options import UsualRoot, existing
from pointlab.storage.record_view import FOLDER_OF_VIEW, complete_view
from pointlab.terminal import say


def records(root: UsualRoot = None) -> None:
    """Say where the Parquet table of all records is and how to read it, after adding runs that it lacks.

    A run adds itself when it is over; one that was finished before there was a table, or was killed just
    before it added itself, is added here.
    """
    storage = existing(root)
    added = complete_view(storage)
    where = storage.locate(FOLDER_OF_VIEW)
    say(f"{len(added)} runs added." if added else "Every finished run is there.")
    say(
        "A row for each metric of each run; config, datasets and parents are JSON.\n"
        f"  pandas.read_parquet({where!r})\n"
        f"  duckdb.sql(\"select run, value from '{where}/*.parquet' where metric = 'test/accuracy'\")"
    )
    say(f"Records: {where}")


COMMANDS: dict[Callable[..., None], str] = {records: "`pointlab records --root s3://bucket/prefix`"}
