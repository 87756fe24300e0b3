"""Which paradigm goes with which backbone: all do, but for what is declared here."""

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


@dataclass(frozen=True)
class Only:
    """Backbones of one kind, which a paradigm takes apart, so that it goes with no other."""

    backbone: str
    reason: str


_HIDES_PATCHES = "it hides patches from the backbone, and trains nothing but what encodes patches"
ONLY = {
    "masked": Only("patch_transformer", _HIDES_PATCHES),
    "act": Only("patch_transformer", _HIDES_PATCHES),
    "act_autoencoder": Only(
        "patch_embedding",
        "its codes stand for single patches, which are to know nothing of the others yet",
    ),
    "recon": Only("recon", "it trains queries that read patches, and nothing else has them"),
}
_ARE_PATCHES = (
    "its tokens are patches around centres that are others in each view, and features in between are"
    " interpolated, so that near points cannot differ"
)
REFUSALS = (
    *(
        Refusal("point_contrast", kind, _ARE_PATCHES)
        for kind in ("patch_transformer", "patch_embedding", "recon")
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
    Refusal(
        "ppkt",
        "pointnet2",
        "without its decoder, points have no features of the whole scene, and the last stage would not be"
        " trained",
        unless="decoder",
    ),
    Refusal(
        "segmentation",
        "pointnet2",
        "without its decoder, points between its sampled centres have no features of their own",
        unless="decoder",
    ),
    Refusal("ppkt", "recon", "its queries, which heads read, would stay as they began"),
)


def refusal_of(paradigm: str, backbone: str) -> Refusal | None:
    """What speaks against this pair of kinds, if anything."""
    only = ONLY.get(paradigm)
    if only is not None:
        return None if backbone == only.backbone else Refusal(paradigm, backbone, only.reason)
    return next((one for one in REFUSALS if (one.paradigm, one.backbone) == (paradigm, backbone)), None)


def require_compatible(paradigm: ParadigmConfig, backbone: BackboneConfig) -> None:
    """Refuse, as a mistake of the config, a pair that does not go together; say why, and what does."""
    refusal = refusal_of(paradigm.kind, backbone.kind)
    if refusal is None or not refusal.holds_for(backbone):
        return
    fitting = [_named(kind, refusal_of(paradigm.kind, kind)) for kind in BACKBONES]
    raise ValueError(
        f"{paradigm.kind} does not go with the backbone {backbone.kind}: {refusal.reason}."
        f" It goes with {', '.join(name for name in fitting if name)}"
    )


def _named(kind: str, refusal: Refusal | None) -> str:
    """How to get a fitting backbone of this kind; nothing where there is none."""
    if refusal is None:
        return kind
    return f"{kind} with {refusal.unless}: true" if refusal.unless else ""
