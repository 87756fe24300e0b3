"""What `pointlab data` prints: tables of sets, of cards and of what reads a folder; one card whole."""

from collections import Counter
from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from pointlab.data.catalogue import CATALOGUE, Card
from pointlab.data.detection import Fit
from pointlab.data.manifest import DatasetManifest, read_dataset
from pointlab.data.source import SPLITS
from pointlab.errors import PointlabError
from pointlab.storage import Storage, read_manifest, whole_artifacts
from pointlab.terminal import screen

MEGABYTE = 1_000_000


def table_of_sets(storage: Storage) -> Table:
    """Every whole prepared set of a storage root; one that cannot be read is named with what to do."""
    columns = ("set", "classes", "rows", "points", "licence", "findings", "MB")
    table = Table(*columns, title=escape(f"Prepared sets in {storage.address}"))
    for name in whole_artifacts(storage, "datasets"):
        try:
            table.add_row(escape(name), *map(escape, _columns(storage, name)))
        except PointlabError as error:
            table.add_row(escape(name), "", "", "", escape(str(error)), "", "")
    return table


def _columns(storage: Storage, name: str) -> list[str]:
    details = read_dataset(storage, name)
    manifest = read_manifest(storage, f"datasets/{name}")
    assert manifest is not None, "its details were just read"
    return [
        str(len(details.class_names)),
        in_splits(details.rows),
        str(details.num_points),
        details.card.licence,
        _findings(details),
        f"{sum(entry.size for entry in manifest.files.values()) / MEGABYTE:,.1f}",
    ]


def in_splits(rows: Mapping[str, int], separator: str = ", ") -> str:
    """Rows by split, in the order of the splits: 3,991 train, 908 test."""
    names = [split for split in SPLITS if rows.get(split)]
    return separator.join(f"{rows[split]:,} {split}" for split in names)


def _findings(details: DatasetManifest) -> str:
    counts = Counter(finding.severity for finding in details.findings)
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items()) or "none"


def table_of_catalogue() -> Table:
    """Every published set that a kind of source reads."""
    columns = ("card", "kinds", "official rows", "licence, and where to get it")
    table = Table(*columns, title="Published sets", show_lines=True)
    for card in CATALOGUE.values():
        if card.kinds:
            rows = in_splits(card.rows, "\n")
            table.add_row(
                card.name, "\n".join(card.kinds), rows, escape(f"{card.licence}\n{card.homepage}".strip())
            )
    return table


def table_of_fits(fits: list[Fit]) -> Table:
    """What each kind of source finds in a folder."""
    table = Table("kind", "folder", "classes", "rows", "in the layout of")
    for fit in fits:
        rows = in_splits(Counter(row.split for row in fit.index.rows))
        classes, title = str(len(fit.index.class_names)), fit.index.card.title
        table.add_row(*map(escape, (fit.kind, str(fit.folder), classes, rows, title)))
    return table


def show_card(card: Card) -> None:
    """Print a card whole, a line for each thing known; what nobody publishes is said to be unknown."""
    screen.print(f"[bold]{escape(card.title)}[/]")
    facts = {
        "citation": card.citation,
        "homepage": card.homepage,
        "licence": card.licence,
        "terms": card.terms,
        "scale": card.scale.replace("_", " "),
        "classes": str(card.num_classes or ""),
        "official rows": in_splits(card.rows),
        "read by": ", ".join(card.kinds),
    }
    for name, text in facts.items():
        if text:
            _show_fact(name, text)
    for download in card.downloads:
        size = f"{download.size / MEGABYTE:,.1f} MB" if download.size else ""
        digest = f"sha256 {download.sha256}" if download.sha256 else "no sha256 published"
        _show_fact("download", "; ".join(filter(None, [download.url, download.note, size, digest])))
    if not card.downloads:
        _show_fact("download", "by hand, from the homepage; then `pointlab data import`")
    for name, digest in card.files.items():
        _show_fact("file", f"{name}: md5 {digest}")
    for name, story in card.known_defects.items():
        _show_fact("known defect", f"{name}: {story}")


def _show_fact(name: str, text: str) -> None:
    screen.print(f"[cyan]{name}:[/] {escape(text)}", soft_wrap=True, highlight=False)
