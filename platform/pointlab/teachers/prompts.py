"""Sentences that name a class, for a network that reads: the prompts of ReCon, and others to evaluate with.

Qi et al., "Contrast with Reconstruct: Contrastive 3D Representation Learning Guided by Generative
Pretraining", ICML 2023: in training one of these on each cloud, for zero-shot all of them together.
"""

from typing import Literal

TemplateSet = Literal["recon", "held_out", "plain"]
NAME = "{}"
"""Where the class's name stands in a template."""
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
    "recon": tuple(f"{prefix}{NAME}{suffix}" for prefix in PREFIXES for suffix in SUFFIXES),
    "held_out": (
        f"there is one {NAME} here",
        f"somebody's {NAME}, seen from the side",
        f"this object is called {NAME}",
        f"the {NAME} that was scanned",
        f"a photo of the {NAME}",
        f"look at this {NAME}",
    ),
    "plain": (NAME,),
}
"""By name: the 20 beginnings of ReCon with each of its 3 ends, in the grammar of its release; other wordings,
which no training sees; the name alone."""


def prompts_of(class_name: str, templates: TemplateSet = "recon") -> tuple[str, ...]:
    """The sentences of a set of templates on this class; an underscore in its name is a space."""
    name = class_name.replace("_", " ")
    return tuple(template.replace(NAME, name) for template in TEMPLATES[templates])
