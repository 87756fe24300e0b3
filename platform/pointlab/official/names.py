"""Official names of what the papers' networks are made of, beside ours.

Read off the released code of Point-BERT, Point-MAE, ACT and ReCon. All of them call the patch embedder
`encoder`, keep blocks in `blocks.blocks`, and number layers as `nn.Sequential` does.
"""

from collections.abc import Iterable

from pointlab.official.renaming import Renaming

Table = tuple[Renaming, ...]


def under(table: Iterable[Renaming], theirs: str, ours: str) -> Table:
    """The table with further beginnings put before the names of each side."""
    return tuple(one.within(theirs, ours) for one in table)


EMBEDDER: Table = (
    Renaming("first_conv", "local"),
    Renaming("second_conv.0", "mix"),
    Renaming("second_conv.1", "final.0"),
    Renaming("second_conv.3", "final.2"),
)
BLOCKS: Table = (
    Renaming("*.norm1", "*.attention_norm"),
    Renaming("*.attn.qkv", "*.attention.qkv"),
    Renaming("*.attn.proj", "*.attention.projection"),
    Renaming("*.norm2", "*.mlp_norm"),
    Renaming("*.mlp.fc1", "*.mlp.0"),
    Renaming("*.mlp.fc2", "*.mlp.2"),
)
"""Pre-norm blocks: of encoders and decoders, and of timm's vision transformers."""
RECON_BLOCKS: Table = (
    Renaming("*.norm1", "*.local_attention_norm"),
    Renaming("*.attn.qkv", "*.local_attention.qkv"),
    Renaming("*.attn.proj", "*.local_attention.projection"),
    Renaming("*.norm2", "*.local_mlp_norm"),
    Renaming("*.mlp.fc1", "*.local_mlp.0"),
    Renaming("*.mlp.fc2", "*.local_mlp.2"),
    Renaming("*.norm1_contrast", "*.query_attention_norm"),
    Renaming("*.attn_contrast.q", "*.query_attention.query"),
    Renaming("*.attn_contrast.kv", "*.query_attention.key_value"),
    Renaming("*.attn_contrast.proj", "*.query_attention.projection"),
    Renaming("*.norm2_contrast", "*.query_mlp_norm"),
    Renaming("*.mlp_contrast.fc1", "*.query_mlp.0"),
    Renaming("*.mlp_contrast.fc2", "*.query_mlp.2"),
)
"""ReCon's blocks: some names are those of `BLOCKS`, and the arithmetic is another."""
AROUND: Table = (Renaming("pos_embed", "positional"), Renaming("norm", "norm"))
CLASS_TOKEN: Table = (Renaming("cls_token", "class_token"), Renaming("cls_pos", "class_position"))
STUDENT: Table = (
    *under(EMBEDDER, "encoder.", "embedder."),
    *under(BLOCKS, "blocks.blocks.", "blocks."),
    *AROUND,
)
STUDENT_OF_POINT_BERT: Table = (
    *under(EMBEDDER, "encoder.", "embedder.0."),
    Renaming("reduce_dim", "embedder.1"),
    *under(BLOCKS, "blocks.blocks.", "blocks."),
    *AROUND,
)
STUDENT_OF_RECON: Table = (
    *under(EMBEDDER, "encoder.", "embedder."),
    *under(RECON_BLOCKS, "blocks.blocks.", "blocks."),
    *AROUND,
    *(
        Renaming(f"{theirs}_{kind}", f"query_{kinds}.{ours}")
        for theirs, ours in {"cls": "class", "img": "image", "text": "text"}.items()
        for kind, kinds in {"token": "tokens", "pos": "positions"}.items()
    ),
)


def decoder(theirs: str) -> Table:
    """The masked decoder, whose blocks are called `theirs`, while its other parts lie at the root."""
    return (
        Renaming("mask_token", "mask_token"),
        Renaming("decoder_pos_embed", "positional"),
        *under(BLOCKS, f"{theirs}.blocks.", "blocks."),
        Renaming(f"{theirs}.norm", "norm"),
    )


HEAD: Table = (
    Renaming("cls_head_finetune.0.weight", "weight"),  # a probe, which is a single layer without a number
    Renaming("cls_head_finetune.0.bias", "bias"),
    Renaming("cls_head_finetune.*", "*"),
)


def _graph(theirs: str, ours: str) -> Table:
    return (
        Renaming(f"{theirs}.input_trans", f"{ours}.input", kernel_axes=1),
        *(
            one
            for edge in range(4)
            for one in (
                Renaming(f"{theirs}.layer{edge + 1}.0", f"{ours}.edges.{edge}.linear", kernel_axes=2),
                Renaming(f"{theirs}.layer{edge + 1}.1", f"{ours}.edges.{edge}.norm"),
            )
        ),
        Renaming(f"{theirs}.layer5.0", f"{ours}.output", kernel_axes=1),
        Renaming(f"{theirs}.layer5.1", f"{ours}.norm"),
    )


AUTOENCODER: Table = (
    Renaming("codebook", "codebook.entries"),
    *_graph("dgcnn_1", "first_graph"),
    *_graph("dgcnn_2", "second_graph"),
    Renaming("decoder.mlp", "decoder.coarse"),
    Renaming("decoder.final_conv.0", "decoder.join", kernel_axes=1),
    Renaming("decoder.final_conv.1", "decoder.join_norm"),
    Renaming("decoder.final_conv.3", "decoder.fold", kernel_axes=1),
    Renaming("decoder.final_conv.4", "decoder.fold_norm"),
    Renaming("decoder.final_conv.6", "decoder.offset", kernel_axes=1),
    Renaming("proj_pre", "prompting.enter"),
    Renaming("proj_post", "prompting.leave"),
    Renaming("visual_pos_embed", "prompting.positional"),
    Renaming("visual_prompt_token", "prompting.prompt_tokens"),
    Renaming("visual_prompt_pos", "prompting.prompt_positions"),
    Renaming("deep_prompt_tokens", "prompting.deep_tokens"),
    Renaming("deep_prompt_pos", "prompting.deep_positions"),
)
FOREIGN: Table = (*under(BLOCKS, "visual_embed.0.", "blocks."), Renaming("visual_embed.1", "norm"))
