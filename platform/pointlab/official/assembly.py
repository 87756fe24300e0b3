"""What each official layout consists of: the networks to be filled, as far as the file has a part of them."""

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from pointlab.backbones import PatchEmbedding, PatchTransformer, ReconTransformer
from pointlab.backbones.patch_embedding import PatchEmbeddingConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.recon import ReconConfig
from pointlab.objectives import HeadConfig
from pointlab.objectives.targets import Latents
from pointlab.official.building import Builder, Unstored
from pointlab.official.shapes import Shapes

ReleasedConfig = PatchTransformerConfig | ReconConfig | PatchEmbeddingConfig
"""Settings of the backbones that some layout has."""


@dataclass(frozen=True)
class Built:
    """Networks by name, as large as the file's tensors but not yet filled, and their settings."""

    modules: dict[str, nn.Module]
    backbone: ReleasedConfig
    head: HeadConfig | None = None
    num_classes: int = 0
    """What the head tells apart; 0 without one."""


def build_point_mae_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder without a class token, decoder, last layer."""
    builder = Builder(shapes, unstored, "MAE_encoder.")
    return _masked(builder, builder.patch_transformer(class_token=False), "MAE_decoder", "increase_dim.0")


def build_recon_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder with queries, decoder, last layer, projections."""
    builder = Builder(shapes, unstored, "MAE_encoder.")
    built = _masked(builder, builder.recon_transformer(0.1), "MAE_decoder", "increase_dim.0")
    if shapes.has("cls_proj."):
        built.modules["class_projection"] = builder.class_projection("cls_proj")
    return _with_projections(builder, built)


def build_act_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder, decoder, head, and the stage I that it learned from."""
    builder = Builder(shapes, unstored, "ACT_encoder.")
    backbone = builder.patch_transformer(class_token=True)
    built = _masked(builder, backbone, "ACT_decoder", "proj_head", head="to_latents")
    teacher = Builder(shapes.under("dvae_tokenizer."), unstored)
    if teacher.has_foreign:
        built.modules["latents"] = Latents(*teacher.stage_one())
    return built


def build_act_autoencoder(shapes: Shapes, unstored: Unstored) -> Built:
    """Embedder, autoencoder, and the transformer in it, where the file has that."""
    builder = Builder(shapes, unstored)
    embedding, autoencoder, foreign = builder.stage_one()
    built = _around(embedding)
    built.modules["autoencoder"] = autoencoder
    if builder.has_foreign:
        built.modules["foreign"] = foreign
    return built


def build_point_mae_classifier(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder and head."""
    builder = Builder(shapes, unstored)
    return _with_head(builder, builder.patch_transformer(class_token=True), "mlp3")


def build_point_bert_classifier(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder, whose embedder is narrower than it, and head."""
    builder = Builder(shapes, unstored)
    return _with_head(builder, builder.patch_transformer(class_token=True, reduces=True), "mlp2")


def build_recon_classifier(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder with queries, head, and where it is zero-shot projections."""
    builder = Builder(shapes, unstored)
    return _with_projections(builder, _with_head(builder, builder.recon_transformer(0.2), "mlp3"))


def _around(backbone: PatchTransformer | ReconTransformer | PatchEmbedding) -> Built:
    return Built({"backbone": backbone}, backbone.config)


def _masked(
    builder: Builder,
    backbone: PatchTransformer | ReconTransformer,
    decoder: str,
    last: str,
    head: str = "to_points",
) -> Built:
    """A backbone, and what the file has of decoder and last layer."""
    built = _around(backbone)
    if builder.shapes.has(f"{decoder}."):
        built.modules["decoder"] = builder.decoder(decoder)
    if builder.shapes.has(f"{last}."):
        built.modules[head] = builder.linear(last)
    return built


def _with_head(
    builder: Builder, backbone: PatchTransformer | ReconTransformer, deep: Literal["mlp2", "mlp3"]
) -> Built:
    """A backbone, and its classifier where the file has one."""
    built = _around(backbone)
    if not builder.shapes.has("cls_head_finetune."):
        return built
    built.modules["head"], config, num_classes = builder.head(backbone.num_features, deep)
    return replace(built, head=config, num_classes=num_classes)


def _with_projections(builder: Builder, built: Built) -> Built:
    """And the projections of ReCon's queries, where the file has them."""
    for name, theirs in (("image_projection", "img_proj"), ("text_projection", "text_proj")):
        if builder.shapes.has(f"{theirs}."):
            built.modules[name] = builder.linear(theirs)
    return built
