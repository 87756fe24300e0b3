"""The layouts of released checkpoints: how each is recognised, what it consists of, what is built from it.

To add one, write its tables of names (`names.py`), what builds it (`assembly.py`), and an entry in `LAYOUTS`.
The classifiers of Point-MAE and ACT have equal keys and are one layout.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pointlab.errors import ConfigError, DataError
from pointlab.official import assembly, names
from pointlab.official.assembly import Built
from pointlab.official.building import Unstored
from pointlab.official.names import Table, under
from pointlab.official.renaming import Part, Renaming
from pointlab.official.shapes import Shapes

LayoutName = Literal[
    "point_mae_pretrain",
    "point_mae_classifier",
    "point_bert_classifier",
    "act_autoencoder",
    "act_pretrain",
    "recon_pretrain",
    "recon_classifier",
]


@dataclass(frozen=True)
class Layout:
    """One kind of official checkpoint."""

    title: str
    backbone: str
    """Kind of the backbone in it."""
    marks: tuple[str, ...]
    """Patterns of names, each of which some key of such a file begins with."""
    parts: tuple[Part, ...]
    build: Callable[[Shapes, Unstored], Built]
    wants: str
    """What a network must be like to be written so."""
    foreign_marks: tuple[str, ...] = ()
    """Patterns that no key of such a file begins with."""
    unused: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of names that are kept for the way back, but not run; and why."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of names that are not kept; and why."""

    def explains(self, key: str) -> bool:
        """Whether a key may be one of such a file, however large its networks are."""
        by_name = any(key.startswith(beginning) for beginning in (*self.unused, *self.dropped))
        return by_name or any(part.explains(key) for part in self.parts)

    def fits(self, keys: Iterable[str]) -> bool:
        """Whether a file with these keys looks like this."""
        return all(_any_begins(mark, keys) for mark in self.marks) and not any(
            _any_begins(mark, keys) for mark in self.foreign_marks
        )


RECON_MARK = r".*_contrast\.|(.*\.)?(img|text)_(token|pos)$"
"""What ReCon's networks alone have: their block is no standard pre-norm block, whatever else is equal."""
ENCODER, HEADED = r"encoder\.first_conv\.", r"cls_head_finetune\."
PLAIN_BLOCK = r"0\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12])\."
NOT_READ = {
    r"transformer_q\.": "Point-BERT's pretraining",
    r"h_encoder\.": "Point-M2AE",
    r"model\.(embed|encoder|global_query)": "ReCon++",
    r"(propagation_\d|label_conv|convs\d|bns\d)(_cls)?\.": "a segmentation network",
    rf"(dvae_tokenizer\.)?visual_embed\.(?!1\.|{PLAIN_BLOCK})": "ACT around another network than a plain"
    " vision transformer",
    r"dgcnn_1\.": "a discrete autoencoder without a foreign transformer, such as Point-BERT's",
}
"""Known kinds of checkpoints that have no layout here, by keys that no layout explains."""


def recognise(keys: Iterable[str]) -> LayoutName:
    """The layout that a file with these keys has; DataError, saying what was found, if none or several."""
    keys = list(keys)
    fitting = [name for name, layout in LAYOUTS.items() if layout.fits(keys)]
    if len(fitting) == 1:
        return fitting[0]
    beginnings = sorted({".".join(key.split(".")[:2]) for key in keys})
    shown = ", ".join(beginnings[:12]) + (" and more" if len(beginnings) > 12 else "")
    raise DataError(
        f"{len(keys)} keys that begin with {shown} fit {' and '.join(fitting) or 'no known layout'}."
        + ("" if fitting else _looks_like(keys)),
        expected=f"one of {', '.join(LAYOUTS)}",
        remedy="name the layout, and with drop what does not belong to it" if fitting else "check the file",
    )


def require_explained(keys: Iterable[str], name: LayoutName) -> None:
    """Return if there are no `keys`; else DataError: nothing in the layout explains them."""
    unknown = list(keys)
    if unknown:
        raise DataError(
            f"{len(unknown)} keys are no part of {name}, such as {', '.join(unknown[:4])}."
            + _looks_like(unknown),
            expected="keys that the layout explains",
            remedy="name them with drop if they may be left out, or name another layout",
        )


def _looks_like(keys: Iterable[str]) -> str:
    """What these keys are known from; empty for strangers."""
    known = [title for mark, title in NOT_READ.items() if _any_begins(mark, keys)]
    return f" It looks like {known[0]}, which is not read." if known else ""


def known_layout(name: str) -> LayoutName:
    """The layout of this name; ConfigError if there is none."""
    found = next((layout for layout in LAYOUTS if layout == name), None)
    if found is None:
        raise ConfigError(f"There is no layout {name!r}.", expected=f"one of {', '.join(LAYOUTS)}")
    return found


def is_recon(keys: Iterable[str]) -> bool:
    """Whether a file with these keys holds any part of a ReCon network."""
    return _any_begins(RECON_MARK, keys)


def _any_begins(pattern: str, keys: Iterable[str]) -> bool:
    matcher = re.compile(pattern)
    return any(matcher.match(key) for key in keys)


def _backbone(table: Table, theirs: str = "") -> Part:
    return Part("backbone", under(table, theirs, ""))


def _layer(module: str, theirs: str, kernel_axes: int = 0) -> Part:
    """A module that is a single layer."""
    pairs = (Renaming(f"{theirs}.{leaf}", leaf, kernel_axes) for leaf in ("weight", "bias"))
    return Part(module, tuple(pairs))


PROJECTIONS = (_layer("image_projection", "img_proj"), _layer("text_projection", "text_proj"))
STAGE_ONE = (
    Part("backbone", under(names.EMBEDDER, "encoder.", "embedder.")),
    Part("autoencoder", names.AUTOENCODER),
    Part("foreign", names.FOREIGN),
)
LATENTS = Part(
    "latents",
    (
        *under(names.EMBEDDER, "dvae_tokenizer.encoder.", "embedding.embedder."),
        *under(names.AUTOENCODER, "dvae_tokenizer.", "autoencoder."),
        *under(names.FOREIGN, "dvae_tokenizer.", "foreign."),
    ),
)
HEAD = Part("head", names.HEAD)
NEVER_RUN = "a head that the released code builds and never runs"
TEACHER = "the frozen teacher of pictures or words, which is somebody else's and was not trained"

LAYOUTS: dict[LayoutName, Layout] = {
    "point_mae_pretrain": Layout(
        "Point-MAE, pretraining",
        backbone="patch_transformer",
        marks=(r"MAE_encoder\.",),
        foreign_marks=(RECON_MARK,),
        parts=(
            _backbone(names.STUDENT, "MAE_encoder."),
            Part("decoder", names.decoder("MAE_decoder")),
            _layer("to_points", "increase_dim.0", kernel_axes=1),
        ),
        build=assembly.build_point_mae_pretrain,
        wants="a patch_transformer without embedder_outputs; a masked decoder; a layer to points",
    ),
    "point_mae_classifier": Layout(
        "Point-MAE or ACT, classifier",
        backbone="patch_transformer",
        marks=(ENCODER, HEADED),
        foreign_marks=(RECON_MARK, r"reduce_dim\."),
        parts=(_backbone((*names.STUDENT, *names.CLASS_TOKEN)), HEAD),
        build=assembly.build_point_mae_classifier,
        wants="a patch_transformer with a class token and without embedder_outputs;"
        " a head that is linear or mlp3",
    ),
    "point_bert_classifier": Layout(
        "Point-BERT, classifier",
        backbone="patch_transformer",
        marks=(ENCODER, HEADED, r"reduce_dim\."),
        foreign_marks=(RECON_MARK,),
        parts=(_backbone((*names.STUDENT_OF_POINT_BERT, *names.CLASS_TOKEN)), HEAD),
        build=assembly.build_point_bert_classifier,
        wants="a patch_transformer with a class token and embedder_outputs; a head that is linear or mlp2",
    ),
    "act_autoencoder": Layout(
        "ACT, stage I",
        backbone="patch_embedding",
        marks=(r"visual_(embed\.|prompt_token)", r"codebook$", r"dgcnn_1\."),
        parts=STAGE_ONE,
        build=assembly.build_act_autoencoder,
        wants="a patch_embedding; ACT's autoencoder; perhaps a vision transformer",
    ),
    "act_pretrain": Layout(
        "ACT, stage II",
        backbone="patch_transformer",
        marks=(r"ACT_encoder\.",),
        foreign_marks=(RECON_MARK,),
        parts=(
            _backbone((*names.STUDENT, *names.CLASS_TOKEN), "ACT_encoder."),
            Part("decoder", names.decoder("ACT_decoder")),
            _layer("to_latents", "proj_head"),
            LATENTS,
        ),
        build=assembly.build_act_pretrain,
        wants="a patch_transformer with a class token and without embedder_outputs;"
        " a masked decoder; a layer to latents; perhaps a stage I",
        unused={"ACT_encoder.lm_head.": NEVER_RUN, "ACT_encoder.cls_head.": NEVER_RUN},
    ),
    "recon_pretrain": Layout(
        "ReCon, pretraining",
        backbone="recon",
        marks=(r"MAE_encoder\.", RECON_MARK),
        parts=(
            _backbone(names.STUDENT_OF_RECON, "MAE_encoder."),
            Part("decoder", names.decoder("MAE_decoder")),
            _layer("to_points", "increase_dim.0", kernel_axes=1),
            *PROJECTIONS,
            Part("class_projection", (Renaming("cls_proj.*", "*"),)),
        ),
        build=assembly.build_recon_pretrain,
        wants="a recon backbone with the queries class, image, text; a masked decoder;"
        " a layer to points; perhaps projections",
        dropped={"img_encoder.": TEACHER, "text_encoder.": TEACHER},
    ),
    "recon_classifier": Layout(
        "ReCon, classifier or zero-shot",
        backbone="recon",
        marks=(ENCODER, RECON_MARK),
        parts=(_backbone(names.STUDENT_OF_RECON), HEAD, *PROJECTIONS),
        build=assembly.build_recon_classifier,
        wants="a recon backbone with the queries class, image, text;"
        " a head that is linear or mlp3; perhaps projections",
    ),
}
