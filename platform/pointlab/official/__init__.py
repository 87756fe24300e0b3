"""The checkpoints that papers released: what is in them, loaded here with equal outputs, and written again.

`layouts.py` is the table of what can be read. Above objectives and transfer, as it builds decoders and heads.
"""

from pointlab.official.building import Unstored
from pointlab.official.exporting import Exported, export_checkpoint, export_weights, write_checkpoint
from pointlab.official.importing import Imported, import_checkpoint, import_sketched, sketch_checkpoint
from pointlab.official.layouts import LAYOUTS, LayoutName
from pointlab.official.report import KeyReport

__all__ = [
    "LAYOUTS",
    "Exported",
    "Imported",
    "KeyReport",
    "LayoutName",
    "Unstored",
    "export_checkpoint",
    "export_weights",
    "import_checkpoint",
    "import_sketched",
    "sketch_checkpoint",
    "write_checkpoint",
]
