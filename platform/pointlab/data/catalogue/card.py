"""The card of a published dataset: where it comes from, on what terms, and how to tell that it is whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scale = Literal["unit_sphere", "metres", "unknown"]


@dataclass(frozen=True)
class Download:
    """A file that the public may fetch; `sha256` and `size` (bytes) are empty where nobody publishes them."""

    url: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Card:
    """What is known of a release before a byte of it is read.

    `terms` is what its user agrees to, shown at the first use. `rows` are the official numbers of clouds by
    split, empty where they depend on a variant. `scale` is that of the released coordinates.
    """

    name: str
    title: str
    citation: str
    homepage: str
    licence: str
    terms: str = ""
    scale: Scale = "unknown"
    num_classes: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    downloads: tuple[Download, ...] = ()
    known_defects: Mapping[str, str] = field(default_factory=dict)
    """Name of a defect of the release -> what is wrong, and what is done about it."""
