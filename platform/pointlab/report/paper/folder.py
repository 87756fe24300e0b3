"""The folder for a paper: every figure and table of a page, written whole or not at all."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pointlab.errors import PointlabError
from pointlab.report.collect import Material, collect
from pointlab.report.figures import Picture
from pointlab.report.paper.drawing import draw
from pointlab.report.paper.run_tables import run_tables
from pointlab.report.paper.sections import pictures_of
from pointlab.report.paper.study_tables import study_tables
from pointlab.report.paper.tables import PaperTable
from pointlab.storage import Storage


def write_paper(storage: Storage, runs: Sequence[str], folder: Path) -> None:
    """All plots on these finished runs as SVG and PDF, all tables as CSV and LaTeX, and what is what.

    Plots have the names that they have on the page. Raises PointlabError where `folder` holds anything or
    cannot be written, and where figures cannot be drawn: then nothing is written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise PointlabError(
            f"{folder} is there already.",
            expected="a folder that is empty or still to be made: no old figure may stay among new ones",
            remedy="give another one, or remove it first",
        )
    material = collect(storage, runs)
    pictures, tables = pictures_of(storage, material), _tables(material)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as scratch:
            whole = Path(scratch) / "paper"
            _write(whole, material, pictures, tables)
            whole.replace(folder)
    except OSError as error:
        raise PointlabError(
            f"{folder} cannot be written: {error.strerror}.", remedy="choose another --paper"
        ) from None


def _tables(material: Material) -> list[PaperTable]:
    studies = [record for record in material.records if record.kind == "study"]
    own = [
        table for number, record in enumerate(studies) for table in study_tables(f"study-{number}", record)
    ]
    return list(_named_apart([*own, *run_tables(material)]))


def _named_apart(tables: Iterable[PaperTable]) -> Iterable[PaperTable]:
    """With a number after a name that an earlier table has: routes may differ in a sign that no file has."""
    taken: Counter[str] = Counter()
    for table in tables:
        taken[table.name] += 1
        again = taken[table.name] > 1
        yield replace(table, name=f"{table.name}--{taken[table.name]}") if again else table


def _write(
    folder: Path, material: Material, pictures: Sequence[tuple[str, Picture]], tables: Sequence[PaperTable]
) -> None:
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True)
    for table in tables:
        (folder / "tables" / f"{table.name}.tex").write_text(table.as_latex(), encoding="utf-8")
        (folder / "tables" / f"{table.name}.csv").write_text(table.as_csv(), encoding="utf-8")
    draw([picture for _, picture in pictures], folder / "figures")
    (folder / "contents.md").write_text(_contents(material, pictures, tables), encoding="utf-8")


def _contents(
    material: Material, pictures: Sequence[tuple[str, Picture]], tables: Sequence[PaperTable]
) -> str:
    """What every file shows, and the code that made the runs."""
    versions = sorted({record.code_version for record in (*material.records, *material.cells.values())})
    lines = [
        f"# Figures and tables of {', '.join(record.run for record in material.asked)}",
        "",
        f"Made by `pointlab report --paper` from runs of the code {', '.join(versions)}. Tables need"
        " the LaTeX package booktabs; CSV has all numbers unrounded.",
        "",
        "| file | shows |",
        "|---|---|",
        *(_entry(f"figures/{each.name}", title, each.caption) for title, each in pictures),
        *(_entry(f"tables/{table.name}", "", table.caption) for table in tables),
    ]
    return "\n".join(lines) + "\n"


def _entry(file: str, title: str, caption: str) -> str:
    told = " ".join((f"{title}: {caption}" if title else caption).split()).replace("|", "\\|")
    return f"| {file} | {told} |"
