"""Sentences around a class's name or a caption, for a network that reads: those of ReCon, others to evaluate
with, and none.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023: in training one of these on each cloud, for zero-shot all of them together.
"""

from typing import Literal

TemplateSet = Literal["recon", "held_out", "plain"]
PLACE = "{}"
"""Where the text stands in a template."""
DEPICTIONS = (
    "A model",
    "A image",
    "A 3D model",
    "A rendering model",
    "A point cloud",
    "A point cloud model",
    "A 3D rendering model",
    "A rendering image",
    "A 3D rendering image",
)
PREFIXES = ("", "A ", *(f"{what} of {article}" for what in DEPICTIONS for article in ("", "a ")))
SUFFIXES = (".", " with white background.", " with black context.")
TEMPLATES: dict[TemplateSet, tuple[str, ...]] = {
    "recon": tuple(f"{prefix}{PLACE}{suffix}" for prefix in PREFIXES for suffix in SUFFIXES),
    "held_out": (
        f"there is one {PLACE} here",
        f"somebody's {PLACE}, seen from the side",
        f"this object is called {PLACE}",
        f"the {PLACE} that was scanned",
        f"a photo of the {PLACE}",
        f"look at this {PLACE}",
    ),
    "plain": (PLACE,),
}
"""By name: the 20 beginnings of ReCon with each of its 3 ends, in the grammar of its release; other wordings,
which no training sees; the text alone."""


def sentences_on(text: str, templates: TemplateSet) -> tuple[str, ...]:
    """The text in each of a set of templates."""
    return tuple(template.replace(PLACE, text) for template in TEMPLATES[templates])


def prompts_of(class_name: str, templates: TemplateSet = "recon") -> tuple[str, ...]:
    """The sentences of a set of templates on this class; an underscore in its name is a space."""
    return sentences_on(in_words(class_name), templates)


def in_words(class_name: str) -> str:
    """A class's name as a text."""
    return class_name.replace("_", " ")
