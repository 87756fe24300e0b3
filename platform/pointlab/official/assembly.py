"""What each official layout consists of: the networks to be filled, as far as the file has a part of them."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from pointlab.backbones import PatchTransformer, ReconTransformer
from pointlab.config import StrictModel
from pointlab.objectives.targets import Latents
from pointlab.official.building import Builder, Unstored
from pointlab.official.shapes import Shapes

Encoder = PatchTransformer | ReconTransformer


@dataclass(frozen=True)
class Built:
    """Networks by name, as large as the file's tensors but not yet filled, and their settings."""

    modules: dict[str, nn.Module]
    configs: dict[str, StrictModel]


def build_point_mae_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder without a class token, decoder, last layer."""
    builder = Builder(shapes, unstored, "MAE_encoder.")
    return _masked(builder, builder.patch_transformer(class_token=False), "MAE_decoder", "increase_dim.0")


def build_recon_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder with queries, decoder, last layer, projections."""
    builder = Builder(shapes, unstored, "MAE_encoder.")
    built = _masked(builder, builder.recon_transformer(0.1), "MAE_decoder", "increase_dim.0")
    return _with_projections(builder, built)


def build_act_pretrain(shapes: Shapes, unstored: Unstored) -> Built:
    """Encoder, decoder, head, and the stage I that it learned from."""
    builder = Builder(shapes, unstored, "ACT_encoder.")
    backbone = builder.patch_transformer(class_token=True)
    built = _masked(builder, backbone, "ACT_decoder", "proj_head", head="to_latents")
    teacher = Builder(shapes.under("dvae_tokenizer."), unstored)
    if teacher.has_foreign:
        embedding, autoencoder, foreign, config = teacher.stage_one()
        built.modules["latents"] = Latents(embedding, autoencoder, foreign)
        built.configs.update(latents=embedding.config, autoencoder=config)
    return built


def build_act_autoencoder(shapes: Shapes, unstored: Unstored) -> Built:
    """Embedder, autoencoder, and the transformer in it, where the file has that."""
    builder = Builder(shapes, unstored)
    embedding, autoencoder, foreign, config = builder.stage_one()
    modules: dict[str, nn.Module] = {"backbone": embedding, "autoencoder": autoencoder}
    if builder.has_foreign:
        modules["foreign"] = foreign
    return Built(modules, {"backbone": embedding.config, "autoencoder": config})


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


def _masked(builder: Builder, backbone: Encoder, decoder: str, last: str, head: str = "to_points") -> Built:
    """A backbone, and what the file has of decoder and last layer."""
    built = Built({"backbone": backbone}, {"backbone": backbone.config})
    if builder.shapes.has(f"{decoder}."):
        built.modules["decoder"] = builder.decoder(decoder)
    if builder.shapes.has(f"{last}."):
        built.modules[head] = builder.linear(last)
    return built


def _with_head(builder: Builder, backbone: Encoder, deep: Literal["mlp2", "mlp3"]) -> Built:
    """A backbone, and its classifier where the file has one."""
    built = Built({"backbone": backbone}, {"backbone": backbone.config})
    if builder.shapes.has("cls_head_finetune."):
        built.modules["head"], built.configs["head"] = builder.head(backbone.num_features, deep)
    return built


def _with_projections(builder: Builder, built: Built) -> Built:
    """And the projections of ReCon's queries, where the file has them."""
    for name, theirs in (("image_projection", "img_proj"), ("text_projection", "text_proj")):
        if builder.shapes.has(f"{theirs}."):
            built.modules[name] = builder.linear(theirs)
    return built
