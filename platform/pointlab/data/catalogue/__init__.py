"""The catalogue: a card for every published dataset that the formats can read, by name."""

from pointlab.data.catalogue.card import Card, Download, Scale
from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.catalogue.objects import OBJECT_CARDS
from pointlab.data.catalogue.scenes import PSB_PARTS, S3DIS, SCANNET, SEVEN_SCENES, TUM_RGBD

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

CATALOGUE: dict[str, Card] = {
    card.name: card
    for card in (BUILT_IN, MODELNET, S3DIS, SCANNET, SEVEN_SCENES, TUM_RGBD, PSB_PARTS, *OBJECT_CARDS)
}

__all__ = [
    "BUILT_IN",
    "CATALOGUE",
    "MODELNET",
    "PSB_PARTS",
    "S3DIS",
    "SCANNET",
    "SEVEN_SCENES",
    "TUM_RGBD",
    "UNKNOWN",
    "Card",
    "Download",
    "Scale",
]
