"""The catalogue: a card for every published dataset that the formats can read, by name."""

from pointlab.data.catalogue.card import Card, Download, Scale
from pointlab.data.catalogue.modelnet import MODELNET
from pointlab.data.catalogue.objects import OBJECT_CARDS
from pointlab.data.catalogue.scenes import (
    KITTI,
    PSB_PARTS,
    S3DIS,
    SCANNET,
    SEMANTIC_KITTI,
    SEVEN_SCENES,
    TUM_RGBD,
)

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

SCENE_CARDS = (S3DIS, SCANNET, SEVEN_SCENES, TUM_RGBD, KITTI, SEMANTIC_KITTI, PSB_PARTS)
CATALOGUE: dict[str, Card] = {card.name: card for card in (BUILT_IN, MODELNET, *SCENE_CARDS, *OBJECT_CARDS)}

__all__ = [
    "BUILT_IN",
    "CATALOGUE",
    "KITTI",
    "MODELNET",
    "PSB_PARTS",
    "S3DIS",
    "SCANNET",
    "SCENE_CARDS",
    "SEMANTIC_KITTI",
    "SEVEN_SCENES",
    "TUM_RGBD",
    "UNKNOWN",
    "Card",
    "Download",
    "Scale",
]
