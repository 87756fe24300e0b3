"""Where everything comes from: sets with their hashes and terms, teachers, versions of the code."""

from collections.abc import Iterator
from dataclasses import dataclass

from pointlab.report.collect import Material
from pointlab.report.gallery import dataset_roles
from pointlab.storage import Record

WEIGHTS = "sha256 of the weights"


@dataclass(frozen=True)
class SetRow:
    """A prepared set; its name ends with its hash."""

    dataset: str
    role: str
    title: str
    homepage: str
    licence: str
    terms: str
    clouds: str


@dataclass(frozen=True)
class Provenance:
    """Of all that the page tells of."""

    sets: tuple[SetRow, ...]
    teachers: tuple[tuple[str, str, str], ...]
    """Run, protocol and hash of the weights."""
    versions: tuple[tuple[str, int], ...]
    """Versions of the code, and how many runs each made."""


def provenance(material: Material) -> Provenance:
    """Sets, teachers and code of all records on the page, the cells of studies and their ancestors too."""
    records = _all_records(material)
    made: dict[str, int] = {}
    for record in records:
        made[record.code_version] = made.get(record.code_version, 0) + 1
    teachers = ((r.run, r.protocol, r.notes.get(WEIGHTS, "")) for r in records if r.kind == "teacher")
    return Provenance(tuple(_sets(material)), tuple(teachers), tuple(sorted(made.items())))


def _all_records(material: Material) -> list[Record]:
    """Each once."""
    found = {record.run: record for record in material.records}
    return list((material.ancestors | material.cells | found).values())


def _sets(material: Material) -> Iterator[SetRow]:
    for name, role in dataset_roles(material).items():
        manifest = material.datasets.get(name)
        if manifest is None:
            yield SetRow(name, role, "no longer in the store", "", "", "", "")
            continue
        card = manifest.card
        rows = ", ".join(f"{count:,} {split}" for split, count in manifest.rows.items())
        yield SetRow(name, role, card.title, card.homepage, card.licence, card.terms, rows)
