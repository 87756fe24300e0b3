"""Networks of ours, as large as the tensors of an official checkpoint say.

Shapes do not tell everything. What is left is `Unstored`, with the papers' values where none are given;
so sampling matches the reference unless something else is said.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PositiveInt
from torch import nn

from pointlab.backbones import PatchEmbedding, PatchTransformer, ReconTransformer
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.recon import ReconConfig
from pointlab.config import StrictModel
from pointlab.errors import ConfigError, DataError
from pointlab.objectives import Head, HeadConfig, build_head
from pointlab.objectives.autoencoder import Autoencoder, AutoencoderConfig
from pointlab.objectives.decoders import DecoderConfig, MaskedDecoder
from pointlab.objectives.folding import NUM_CELLS
from pointlab.objectives.prompting import ForeignTransformer, PromptConfig
from pointlab.objectives.self_contrast import ClassProjection
from pointlab.official.foreign import VisionTransformer
from pointlab.official.shapes import Shapes

HEAD_WIDTH, NUM_GROUPS, GROUP_SIZE = 64, 64, 32
"""In all these papers: channels of an attention head, patches of a cloud, points of a patch."""


class Unstored(StrictModel):
    """What a checkpoint's tensors do not tell. null takes what an export of ours says beside them, else what
    the papers have."""

    num_groups: PositiveInt | None = None
    """Patches of a cloud: 64 for the papers' 1,024 points; ScanObjectNN's 2,048 take 128."""
    group_size: PositiveInt | None = None
    """Points of a patch: the papers' 32, unless a decoder in the file rebuilds another number."""
    num_heads: PositiveInt | None = None
    """Attention heads of the encoder: one for each 64 channels."""
    decoder_heads: PositiveInt | None = None
    """Attention heads of the decoder: as many as the encoder has."""
    teacher_heads: PositiveInt | None = None
    """Attention heads of the transformer inside ACT's autoencoder: one for each 64 channels."""
    skip_near_origin: bool | None = None
    """Whether points near the origin are never centres: so the reference's sampling kernel has it."""

    def or_else(self, other: "Unstored") -> "Unstored":
        """These settings, and those of `other` where these are null."""
        return self.model_copy(update={k: v for k, v in other.said.items() if k not in self.said})

    @property
    def said(self) -> dict[str, Any]:
        """Those that are not null."""
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True)
class Builder:
    """Builds networks from shapes; those of the student lie below `student`, all others at the root."""

    shapes: Shapes
    unstored: Unstored
    student: str = ""

    @property
    def width(self) -> int:
        """Channels of the student's tokens."""
        return self.shapes.size(f"{self.student}norm.weight")

    def patch_transformer(self, *, class_token: bool, reduces: bool = False) -> PatchTransformer:
        """The encoder of Point-MAE and ACT, or with `reduces` that of Point-BERT."""
        outputs = self._student.size("reduce_dim.weight", 1) if reduces else None
        sizes: dict[str, Any] = self._encoder_sizes() | self._patch_sizes(self._student)
        return PatchTransformer(
            PatchTransformerConfig(**sizes, class_token=class_token, embedder_outputs=outputs)
        )

    def recon_transformer(self, drop_path_rate: float) -> ReconTransformer:
        """ReCon's encoder with its three queries."""
        sizes: dict[str, Any] = self._encoder_sizes() | self._patch_sizes(self._student)
        return ReconTransformer(ReconConfig(**sizes, drop_path_rate=drop_path_rate))

    def decoder(self, theirs: str) -> MaskedDecoder:
        """The masked decoder whose blocks the file calls `theirs`."""
        first = f"{theirs}.blocks.0.mlp.fc1.weight"
        config = DecoderConfig(
            depth=self.shapes.count(f"{theirs}.blocks.*.norm1.weight"),
            num_heads=_heads(
                self.width, self.unstored.decoder_heads or self.unstored.num_heads, "decoder_heads"
            ),
            mlp_ratio=_ratio(self.shapes.size(first), self.width),
        )
        return MaskedDecoder(config, self.width)

    def linear(self, theirs: str) -> nn.Linear:
        """A single layer, which may be a convolution over there."""
        name = f"{theirs}.weight"
        return nn.Linear(
            self.shapes.size(name, 1), self.shapes.size(name), bias=self.shapes.has(f"{theirs}.bias")
        )

    def class_projection(self, theirs: str) -> ClassProjection:
        """What ReCon's class queries are compared behind."""
        return ClassProjection(self.width, self.shapes.size(f"{theirs}.0.weight"))

    def head(self, num_features: int, deep: Literal["mlp2", "mlp3"]) -> tuple[Head, HeadConfig, int]:
        """The classifier on pooled features, of one layer where the file has one, else `deep`; its settings;
        how many classes it tells apart."""
        layers = self.shapes.under("cls_head_finetune.")
        later = {"mlp2": ("3",), "mlp3": ("4", "8")}[deep] if layers.has("3.") or layers.has("4.") else ()
        first = layers.size("0.weight")
        if not later:
            config = HeadConfig(kind="linear")
        else:
            second = layers.size(f"{later[0]}.weight")
            config = HeadConfig(kind=deep, hidden_widths=(first, first if deep == "mlp2" else second))
        num_classes = layers.size(f"{later[-1]}.weight") if later else first
        return build_head(config, num_features, num_classes), config, num_classes

    def stage_one(self) -> tuple[PatchEmbedding, Autoencoder, ForeignTransformer]:
        """ACT's autoencoder: its embedder, what is trained around the transformer, and that transformer."""
        foreign, shapes = self._foreign(), self.shapes
        config = AutoencoderConfig(
            num_codes=shapes.size("codebook"),
            prompts=PromptConfig(
                kind="deep" if shapes.has("deep_prompt_tokens") else "shallow",
                num_prompts=shapes.size("visual_prompt_token", 1),
            ),
            graph_widths=(
                shapes.size("dgcnn_1.input_trans.weight"),
                *(shapes.size(f"dgcnn_1.layer{edge}.0.weight") for edge in range(1, 5)),
            ),
            coarse_width=shapes.size("decoder.mlp.0.weight"),
            fine_width=shapes.size("decoder.final_conv.0.weight"),
        )
        sizes: dict[str, Any] = self._patch_sizes(shapes)
        width = shapes.size("codebook", 1)
        embedding = PatchEmbedding(PatchEmbeddingConfig(**sizes, width=width))
        autoencoder = Autoencoder(config, width, embedding.config.group_size, foreign)
        return embedding, autoencoder, foreign

    @property
    def has_foreign(self) -> bool:
        """Whether the file holds the transformer that ACT's autoencoder stands around."""
        return self.shapes.has("visual_embed.")

    @property
    def _student(self) -> Shapes:
        return self.shapes.under(self.student)

    def _encoder_sizes(self) -> dict[str, Any]:
        student, width = self._student, self.width
        return {
            "width": width,
            "depth": student.count("blocks.blocks.*.norm1.weight"),
            "num_heads": _heads(width, self.unstored.num_heads, "num_heads"),
            "mlp_ratio": _ratio(student.size("blocks.blocks.0.mlp.fc1.weight"), width),
        }

    def _patch_sizes(self, holder: Shapes) -> dict[str, Any]:
        names = ("first_conv.0.weight", "first_conv.3.weight", "second_conv.0.weight")
        return {
            "num_groups": self.unstored.num_groups or NUM_GROUPS,
            "group_size": self._members(),
            "embedder_widths": tuple(holder.size(f"encoder.{name}") for name in names),
            "skip_near_origin": self.unstored.skip_near_origin is not False,
        }

    def _members(self) -> int:
        """Points of a patch: what something in the file rebuilds, else as given or as in the papers."""
        given, rebuilt = self.unstored.group_size, self._rebuilt()
        if given and rebuilt and given != rebuilt:
            raise ConfigError(
                f"unstored.group_size is {given}, and a decoder in the file rebuilds {rebuilt} points.",
                expected="patches of as many points as are rebuilt",
                remedy="leave unstored.group_size out, or drop the decoder",
            )
        return given or rebuilt or GROUP_SIZE

    def _rebuilt(self) -> int | None:
        """Points that a decoder in the file makes of a patch; None without one."""
        if self.shapes.has("increase_dim.0."):
            return self._points_of("increase_dim.0.weight")
        for beginning in ("", "dvae_tokenizer."):
            if self.shapes.has(f"{beginning}decoder.mlp.4."):
                return self._points_of(f"{beginning}decoder.mlp.4.weight") * NUM_CELLS
        return None

    def _points_of(self, name: str) -> int:
        """How many points the rows of a last layer are the coordinates of."""
        rows = self.shapes.size(name)
        if rows % 3:
            raise DataError(f"{name} has {rows} rows.", expected="three coordinates for each point")
        return rows // 3

    def _foreign(self) -> ForeignTransformer:
        """The network that the file holds; where it holds none, one as deep and wide as the rest says."""
        shapes = self.shapes.under("visual_embed.")
        if not self.has_foreign:
            depth = 1 + (
                self.shapes.size("deep_prompt_tokens") if self.shapes.has("deep_prompt_tokens") else 0
            )
            return VisionTransformer(self.shapes.size("proj_pre.weight"), depth, 1, 1, has_bias=False)
        width = shapes.size("1.weight")
        return VisionTransformer(
            width,
            shapes.count("0.*.norm1.weight"),
            _heads(width, self.unstored.teacher_heads, "teacher_heads"),
            shapes.size("0.0.mlp.fc1.weight"),
            has_bias=shapes.has("0.0.attn.qkv.bias"),
        )


def _heads(width: int, given: int | None, name: str) -> int:
    """Attention heads for this width, as given or as in the papers; ConfigError if they do not divide it."""
    if width % (given or HEAD_WIDTH):
        raise ConfigError(
            f"The tokens have {width} channels, which "
            + (f"{given} heads do not divide." if given else f"is no multiple of {HEAD_WIDTH}."),
            expected="a number of heads that divides them: a checkpoint's shapes do not tell it",
            remedy=f"give it: --set unstored.{name}=..., in Python Unstored({name}=...)",
        )
    return given or width // HEAD_WIDTH


def _ratio(hidden: int, width: int) -> int:
    if hidden % width:
        raise ConfigError(
            f"A block's perceptron has {hidden} hidden channels for {width}.", expected="a whole multiple"
        )
    return hidden // width
