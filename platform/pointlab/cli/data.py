"""`pointlab data`: prepared sets and published ones, from the downloaded archive to a page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from pointlab.cli.data_tables import MEGABYTE, show_card, table_of_catalogue, table_of_fits, table_of_sets
from pointlab.cli.fragments import config_to_paste
from pointlab.cli.options import Overrides, Root, UsualRoot, new_group, slug, write_page
from pointlab.cli.sets import find_card, find_set, storage_of
from pointlab.data.archives import unpack
from pointlab.data.catalogue import UNKNOWN, Card
from pointlab.data.detection import Fit
from pointlab.data.detection import detect as find_fits
from pointlab.data.progress import Progress
from pointlab.data.verification import Verdict
from pointlab.data.verification import verify as find_damages
from pointlab.errors import DataError
from pointlab.report import build_dataset_page
from pointlab.terminal import say, show_table, show_terms, shown_progress
from pointlab.training import Watcher

PreparedSet = Annotated[
    str, typer.Argument(metavar="NAME|CONFIG", help="A set by its name, or by the config that prepares it.")
]
Folder = Annotated[Path, typer.Argument(help="A folder of data, as its archive unpacks.")]


def list_sets(root: UsualRoot = None) -> None:
    """List the prepared sets of a storage root, and the published ones that can be prepared."""
    storage = storage_of(root)
    if storage.exists("datasets"):
        show_table(table_of_sets(storage))
    else:
        say(f"No set is prepared in {storage.address}.")
    show_table(table_of_catalogue())
    say("`pointlab data card NAME` tells all that is known of a published set.")


def card(
    name: Annotated[str, typer.Argument(help="A published set, as `pointlab data list` names it.")],
) -> None:
    """Tell all that is known of a published set: citation, licence, terms, downloads, defects."""
    show_card(find_card(name))


def import_archive(
    archive: Annotated[Path, typer.Argument(help="A zip or tar (gz, bz2, xz) that you downloaded.")],
    to: Annotated[Path, typer.Option(help="Folder to make and unpack into.")],
    sha256: Annotated[str | None, typer.Option(help="Checksum that the archive must have.")] = None,
    card: Annotated[str | None, typer.Option(help="The published set it is: its checksums must fit.")] = None,
) -> None:
    """Unpack a downloaded archive safely, and say how to prepare what is in it."""
    published = find_card(card) if card else UNKNOWN
    checksums = {sha256} if sha256 else {each.sha256 for each in published.downloads if each.sha256}
    with shown_progress() as watcher:
        made = unpack(archive, to, frozenset(checksums), progress=_in_megabytes(watcher, archive.name))
    size = f"{made.num_files:,} files, {made.num_bytes / MEGABYTE:,.1f} MB"
    say(f"Unpacked into {made.folder}: {size}. sha256 {made.sha256}")
    if not checksums:
        say("There was no checksum to compare it with, neither given nor on a card: keep this one.")
    _show_fits(find_fits(made.folder), published)


def detect(folder: Folder) -> None:
    """Say which kind of source reads a folder, with a config to prepare it."""
    _show_fits(find_fits(folder))


def verify(
    prepared: PreparedSet,
    source: Annotated[Path | None, typer.Option(help="Folder of the source files, to compare too.")] = None,
    overrides: Overrides = None,
    root: Root = None,
) -> None:
    """Compare every file of a prepared set with its manifest, and count its rows."""
    storage, name = find_set(prepared, overrides, root)
    with shown_progress() as watcher:
        verdict = find_damages(
            storage, name, source, lambda done, total: watcher(f"verify {name}", done, max(total, 1), {})
        )
    for leftover in verdict.leftovers:
        say(f"Not part of the set: {storage.locate(f'datasets/{name}/{leftover}')}")
    if verdict.damages:
        listed = "\n".join(f"  - {damage}" for damage in verdict.damages)
        folder = storage.locate(f"datasets/{name}")
        raise DataError(
            f"{folder} is damaged, in {len(verdict.damages)} place(s):\n{listed}\n",
            remedy="restore the files, or delete the folder and run its prepare config again; source files"
            " come from their official release",
        )
    say(f"{name} is whole: {_in_words(verdict)}.")


def show(
    prepared: PreparedSet,
    split: Annotated[
        str, typer.Option(help="Whose clouds are drawn; no choice is made from them.")
    ] = "train",
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("dataset.html"),
    overrides: Overrides = None,
    root: Root = None,
) -> None:
    """Write one self-contained HTML page to look at a prepared set."""
    storage, name = find_set(prepared, overrides, root)
    write_page(output, build_dataset_page(storage, name, split))
    say(f"Page: {output.resolve()}")


def _in_words(verdict: Verdict) -> str:
    rows = ", ".join(f"{count:,} {split}" for split, count in sorted(verdict.rows.items()))
    files = f"{verdict.num_files} files, {verdict.num_bytes / MEGABYTE:,.1f} MB; rows: {rows}"
    return files + (f"; {verdict.num_source_files} source files" if verdict.num_source_files else "")


def _in_megabytes(watcher: Watcher, stage: str) -> Progress:
    def progress(done: int, total: int) -> None:
        watcher(f"unpack {stage} (MB)", done // MEGABYTE, max(total // MEGABYTE, 1), {})

    return progress


def _show_fits(fits: list[Fit], published: Card = UNKNOWN) -> None:
    """What reads the folder, on which terms, and a config for each to paste."""
    show_table(table_of_fits(fits))
    for found in {each.name: each for each in (published, *(fit.index.card for fit in fits))}.values():
        show_terms(found)
    for fit in fits:
        say(f"\nTo prepare it as {fit.kind}, write to a file and `pointlab run` it:")
        typer.echo(config_to_paste(fit, slug(fit.folder.resolve().name, "mine")), nl=False)


app = new_group("Datasets: list, import, verify and look at them.")
for command, name, example in (
    (list_sets, "list", "`pointlab data list --root runs`"),
    (card, "card", "`pointlab data card modelnet`"),
    (import_archive, "import", "`pointlab data import ModelNet10.zip --to data/modelnet10 --card modelnet`"),
    (detect, "detect", "`pointlab data detect data/modelnet10`"),
    (verify, "verify", "`pointlab data verify modelnet10 --source data/modelnet10`"),
    (show, "show", "`pointlab data show modelnet10 --output modelnet10.html`"),
):
    app.command(name, epilog=f"Example: {example}")(command)
