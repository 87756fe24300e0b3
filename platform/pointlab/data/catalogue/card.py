"""The card of a published dataset: where it comes from, on what terms, and how to tell that it is whole.

`downloads` names only what a verified source names: an address that works for nobody, or a checksum that
was never right, costs more than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scale = Literal["unit_sphere", "metres", "unknown"]
OTHERWISE = "If not: another set in this layout says what it is by data.origin and data.licence."


@dataclass(frozen=True)
class Download:
    """A file or page that the public may fetch, and what to know of it.

    `sha256` and `size` (bytes) are empty where nobody publishes them.
    """

    url: str
    note: str = ""
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
    kinds: tuple[str, ...] = ()
    """The kinds of source that read it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of a file of the release -> its MD5, as public code checks it."""

    def notice(self) -> str:
        """Title, licence, terms and citation in lines, for the first use; empty where nothing is asked.

        Told from the layout alone, it may be another set: the first line says so, and the last what to do.
        """
        if not (self.terms or self.citation):
            return ""
        asked = {"Licence": self.licence, "Terms": self.terms, "Cite": self.citation, "From": self.homepage}
        told = [f"{name}: {text}" for name, text in asked.items() if text]
        return "\n".join([f"If this is {self.title}", *told, OTHERWISE])
