"""Names of classes as sets write them, and the one name under which `upright_figures` knows the class."""

import re

SYNONYMS: dict[str, str] = {
    "aeroplane": "airplane",
    "plane": "airplane",
    "bath": "bathtub",
    "bath_tub": "bathtub",
    "tub": "bathtub",
    "book_shelf": "shelf",
    "bookcase": "shelf",
    "bookshelf": "shelf",
    "shelves": "shelf",
    "chest_of_drawers": "dresser",
    "couch": "sofa",
    "cupboard": "cabinet",
    "display": "monitor",
    "screen": "monitor",
    "flower_pot": "plant",
    "flowerpot": "plant",
    "potted_plant": "plant",
    "pottedplant": "plant",
    "jar": "vase",
    "cup": "mug",
    "notebook": "laptop",
    "nightstand": "night_stand",
    "bedside_table": "night_stand",
    "television_stand": "tv_stand",
    "tvstand": "tv_stand",
    "toile": "toilet",  # so written in some lists of ScanObjectNN
    "dining_table": "table",
    "diningtable": "table",
}


def plain_name(class_name: str) -> str:
    """A class's name in small letters with underscores, first of its synonyms, in the singular."""
    name = re.sub(r"[^a-z0-9]+", "_", class_name.split(",", maxsplit=1)[0].lower()).strip("_")
    for candidate in (name, name.removesuffix("s")):
        if candidate in SYNONYMS:
            return SYNONYMS[candidate]
    return name
