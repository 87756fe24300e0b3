"""What the commands share: their options, the storage to read from, and how a group of them looks."""

import re
from pathlib import Path
from typing import Annotated

import typer

from pointlab.errors import PointlabError
from pointlab.experiment import StorageConfig
from pointlab.storage import Storage

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=VALUE", help="Override one setting; may be repeated."),
]
Root = Annotated[
    str | None, typer.Option(help="Storage root: a folder or s3://bucket/prefix (default: the config's).")
]
UsualRoot = Annotated[
    str | None,
    typer.Option(
        "--root", help=f"Storage root: a folder or s3://bucket/prefix (default: {StorageConfig().root})."
    ),
]
"""Of a command without a config."""


def new_group(purpose: str) -> typer.Typer:
    """An empty group of commands; what goes wrong in one keeps a plain traceback."""
    return typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        help=purpose,
    )


def existing(root: str | None) -> Storage:
    """The storage to read from; nothing is made where there is none."""
    storage = Storage(root or StorageConfig().root)
    if not storage.exists(""):
        raise PointlabError(
            f"There is no {storage.address}.", remedy="give the root of your runs with --root"
        )
    return storage


Strict = Annotated[bool, typer.Option("--strict", help="End with an error where a data check warns.")]


def with_options(overrides: list[str] | None, root: str | None, *, strict: bool = False) -> list[str]:
    """The overrides, with `--root` and `--strict` as further ones."""
    more = [f"storage.root={root}"] if root else []
    return [*(overrides or []), *more, *(["launch.strict=true"] if strict else [])]


def slug(text: str, otherwise: str) -> str:
    """The text as the name of a set or a run may be; `otherwise` where nothing of it is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or otherwise


def write_page(output: Path, page: str) -> None:
    """Write a page where the user wants it; PointlabError where that cannot be."""
    try:
        output.write_text(page)
    except OSError as error:
        raise PointlabError(
            f"{output} cannot be written: {error.strerror}.", remedy="choose another --output"
        ) from None
