"""Which paradigm goes with which backbone: all do, but for the pairs declared here."""

from dataclasses import dataclass

from pydantic import BaseModel

from pointlab.backbones import BACKBONES, BackboneConfig
from pointlab.paradigms import ParadigmConfig


@dataclass(frozen=True)
class Refusal:
    """A pair that does not go together, and why; `unless` is a switch of the backbone that would help."""

    paradigm: str
    backbone: str
    reason: str
    unless: str | None = None

    def holds_for(self, backbone: BaseModel) -> bool:
        """Whether a backbone of the refused kind is refused as it is configured."""
        return self.unless is None or not getattr(backbone, self.unless)


REFUSALS = (
    Refusal(
        "point_contrast",
        "patch_transformer",
        "its tokens are patches around centres that are others in each view, and features in between are"
        " interpolated, so that near points cannot differ",
    ),
    Refusal(
        "point_contrast",
        "pointmlp",
        "its tokens are sampled centres, fewer at every stage, and features in between are interpolated, so"
        " that near points cannot differ",
    ),
    Refusal(
        "point_contrast",
        "pointnet2",
        "without its decoder, its tokens are sampled centres and not points",
        unless="decoder",
    ),
)


def require_compatible(paradigm: ParadigmConfig, backbone: BackboneConfig) -> None:
    """Refuse, as a mistake of the config, a pair that does not go together; say why, and what does."""
    refusals = {refusal.backbone: refusal for refusal in REFUSALS if refusal.paradigm == paradigm.kind}
    refusal = refusals.get(backbone.kind)
    if refusal is None or not refusal.holds_for(backbone):
        return
    fitting = [_named(kind, refusals.get(kind)) for kind in BACKBONES]
    raise ValueError(
        f"{paradigm.kind} does not go with the backbone {backbone.kind}: {refusal.reason}."
        f" It goes with {', '.join(name for name in fitting if name)}"
    )


def _named(kind: str, refusal: Refusal | None) -> str:
    """How to get a fitting backbone of this kind; nothing where there is none."""
    if refusal is None:
        return kind
    return f"{kind} with {refusal.unless}: true" if refusal.unless else ""
