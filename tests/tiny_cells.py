"""Studies whose cells are records that a test has made: each by its name as the protocol, from one start."""

from pointlab.report.collect import Material
from pointlab.storage import Record
from study_records import study_record

Study = tuple[Record, tuple[Record, ...]]


def study(run: str, *cells: Record) -> Study:
    """A study of these cells, and they."""
    levels = {"start": "here", "backbone": "small", "route": "there", "samples_per_class": "all"}
    rows: list[dict[str, float | str]] = [
        {**levels, "protocol": each.name, "seed": float(each.seed), "outcome": "finished", "run": each.run}
        for each in cells
    ]
    return study_record(run=run, cells=rows), cells


def page_of_studies(*studies: Study) -> Material:
    """What a page on these studies is made from."""
    records = tuple(record for record, _ in studies)
    return Material(records, records, {}, {}, {each.run: each for _, cells in studies for each in cells})
