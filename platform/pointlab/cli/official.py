"""`pointlab import` and `export`: checkpoints in the layouts that papers released, both ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pointlab.cli.options import UsualRoot, existing, slug
from pointlab.config import apply_overrides, validate
from pointlab.experiment import ImportExperiment
from pointlab.experiment.exported import export_run
from pointlab.experiment.imported import ASSUMED
from pointlab.launch import run as launch
from pointlab.official import LAYOUTS, write_checkpoint
from pointlab.official.card import card_of, card_path, write_card
from pointlab.official.exporting import require_new
from pointlab.official.layouts import known_layout
from pointlab.storage import Record
from pointlab.terminal import say, show_table, shown_progress

Layout = Annotated[
    str | None,
    typer.Option(help=f"One of {', '.join(LAYOUTS)}; by default what the keys, or the run, tell."),
]


def import_file(
    file: Annotated[Path, typer.Argument(help="A released checkpoint: .pth or safetensors.")],
    *,
    layout: Layout = None,
    name: Annotated[str | None, typer.Option(help="What to call it; by default its file's name.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Keys to leave out, * for any part.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=VALUE", help="A setting, as of a config.")
    ] = None,
    root: UsualRoot = None,
) -> None:
    """Make a run of a released checkpoint, and account for every key of it; nothing in it is executed."""
    settings: dict[str, Any] = {
        "kind": "import",
        "name": name or slug(file.stem, "imported"),
        "path": str(file),
        "layout": None if layout is None else known_layout(layout),
        "drop": tuple(drop or ()),
        **({"storage": {"root": root}} if root else {}),
    }
    experiment: ImportExperiment = validate(
        ImportExperiment, apply_overrides(settings, overrides or ()), str(file)
    )
    with shown_progress() as watcher:
        outcome = launch(experiment, watcher=watcher)
    assert outcome.record is not None, "an import leaves a record"
    if outcome.was_finished:
        say("Imported before; nothing was left to do.")
    show_table(table_of_keys(outcome.record))
    where = outcome.storage.locate(outcome.path)
    say(f"Run: {outcome.record.run}  Record: {where}/record/record.json")


def export(
    run: Annotated[str, typer.Argument(help="A finished run: a pretraining, a transfer, an import.")],
    to: Annotated[Path, typer.Option(help="File to write: .pth or .safetensors.")],
    *,
    layout: Layout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of this name.")] = False,
    root: UsualRoot = None,
) -> None:
    """Write a run's networks in the layout that others' code reads, and a card beside them."""
    require_new(to, overwrite=overwrite)
    exported, details = export_run(existing(root), run, layout)
    card = card_path(to)
    write_checkpoint(exported, to)
    write_card(card_of(run, exported, details), card)
    for name, why in exported.left_out.items():
        say(f"Not in it: {name}: {why}.")
    say(f"Written: {to.resolve()}  Card: {card.resolve()}")


def table_of_keys(record: Record) -> Table:
    """What became of a file's keys, a row for each module and each explanation; and what was assumed."""
    assumed = escape(f"{ASSUMED}: {record.notes[ASSUMED]}") if ASSUMED in record.notes else None
    title = f"{record.run}: {record.notes['layout']}"
    table = Table("what", "keys", "where or why", title=title, caption=assumed, caption_justify="left")
    for row in record.curves["summary"]:
        table.add_row(str(row["fate"]), f"{row['keys']:.0f}", escape(str(row["meaning"])))
    return table


COMMANDS: dict[Callable[..., None], tuple[str, str]] = {
    import_file: ("import", "`pointlab import pretrain.pth --name point-mae`"),
    export: (
        "export",
        "`pointlab export point-mae-3f0c9a1b2d-s0 --to point_mae.pth --layout point_mae_pretrain`",
    ),
}
