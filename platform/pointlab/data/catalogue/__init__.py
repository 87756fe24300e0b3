"""The catalogue: a card for every published dataset that the formats can read, by name."""

from pointlab.data.catalogue.card import Card, Download, Scale
from pointlab.data.catalogue.modelnet import MODELNET

UNKNOWN = Card(
    name="unknown",
    title="a set of the user's own",
    citation="",
    homepage="",
    licence="not stated",
)
BUILT_IN = Card(
    name="built-in",
    title="made by pointlab",
    citation="",
    homepage="",
    licence="Apache-2.0",
    scale="metres",
)

CATALOGUE: dict[str, Card] = {card.name: card for card in (BUILT_IN, MODELNET)}

__all__ = ["BUILT_IN", "CATALOGUE", "MODELNET", "UNKNOWN", "Card", "Download", "Scale"]
