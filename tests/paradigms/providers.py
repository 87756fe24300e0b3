"""Small frozen networks in the places of teachers: a foreign transformer, a finished stage I of ACT, what
pictures and texts are said to be like."""

import torch
from torch import Tensor, nn

from pointlab.backbones.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from pointlab.backbones.patches import Patches
from pointlab.backbones.transformer import TransformerBlock
from pointlab.objectives.autoencoder import Autoencoder, AutoencoderConfig
from pointlab.objectives.pixels import KnownMaps, MapNetwork, PixelMaps, SeenMaps
from pointlab.objectives.prompting import ForeignTransformer, PromptConfig
from pointlab.objectives.targets import (
    Latents,
    PictureFeatures,
    PictureNetwork,
    Targets,
    TextFeatures,
    VariedPictures,
)
from pointlab.paradigms import Given, ParadigmConfig, PpktConfig, ReconParadigmConfig

SMALL = AutoencoderConfig(
    num_codes=16,
    prompts=PromptConfig(num_prompts=3),
    graph_widths=(8, 8, 12, 12, 16),
    coarse_width=16,
    fine_width=8,
)
EMBEDDING = PatchEmbeddingConfig(width=24, num_groups=8, group_size=4, embedder_widths=(8, 16, 16))


class ForeignBlock(nn.Module):
    """A block as those of `transformers` are called."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = TransformerBlock(width, num_heads=2, mlp_ratio=2, drop_path_rate=0.0)

    def forward(self, rows: Tensor, mask: None) -> Tensor:
        mixed: Tensor = self.block(rows)
        return mixed


def small_foreign(width: int = 12, depth: int = 3) -> ForeignTransformer:
    """A foreign transformer with weights of its own, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        blocks = nn.ModuleList(ForeignBlock(width) for _ in range(depth))
        return ForeignTransformer(blocks, nn.LayerNorm(width), width)


def small_latents(embedding: PatchEmbeddingConfig = EMBEDDING) -> Latents:
    """A stage I whose running statistics are those of some noise, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        foreign, backbone = small_foreign(), PatchEmbedding(embedding)
        autoencoder = Autoencoder(SMALL, embedding.width, embedding.group_size, foreign)
        for parameter in (*backbone.parameters(), *autoencoder.parameters()):
            parameter.data += 0.2 * torch.randn_like(parameter)
        latents = Latents(backbone, autoencoder, foreign).train()
        latents(noise(embedding.num_groups, embedding.group_size))
        return latents.eval()


def noise(num_groups: int = 8, group_size: int = 4, batch: int = 4) -> Patches:
    """Patches of noise."""
    members = (batch, num_groups, group_size)
    return Patches(
        torch.randn(batch, num_groups, 3), torch.randn(*members, 3), torch.zeros(members, dtype=torch.int64)
    )


class SmallPictureNetwork(PictureNetwork):
    """Mean colours, mixed; it remembers the pictures that it was shown last."""

    width = 6

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(always((3, 6)))
        self.shown = torch.zeros(0)

    def forward(self, pictures: Tensor) -> Tensor:
        self.shown = pictures
        mixed: Tensor = pictures.float().mean((1, 2)) / 255 @ self.mix
        return mixed


def always(shape: tuple[int, ...]) -> Tensor:
    """Normal numbers, the same for a shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


def teachers_for(config: ReconParadigmConfig) -> dict[str, nn.Module]:
    """What a ReCon of this config learns from: of 8 pictures, of captions 5 and 6, or of 20 classes, with
    four sentences on each unless these are plain."""
    images: Targets = PictureFeatures(always((8, 6)))
    if config.image_augmentation is not None:
        images = VariedPictures(SmallPictureNetwork(), config.image_augmentation)
    keys = [5, 6] if config.text == "captions" else range(20)
    num_sentences = 1 if config.templates == "plain" else 4
    texts = TextFeatures(config.text_key, keys, always((len(keys), num_sentences, 5)))
    return {"image_teacher": images, "text_teacher": texts}


class SmallMapNetwork(MapNetwork):
    """Mixed colours of 2 by 2 pixels; it remembers the pictures that it was shown last."""

    width = 6

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(always((3, 6)))
        self.shown = torch.zeros(0)

    def forward(self, pictures: Tensor) -> Tensor:
        self.shown = pictures
        cells = nn.functional.avg_pool2d(pictures.movedim(3, 1).to(self.mix.dtype) / 255, 2)
        return torch.einsum("bchw,cd->bdhw", cells, self.mix.detach())


def maps_for(config: PpktConfig) -> PixelMaps:
    """What a PPKT of this config learns from: of 16 pictures of 4 by 4 pixels, or of those that it is
    shown."""
    if config.picture_augmentation is not None:
        return SeenMaps(SmallMapNetwork())
    return KnownMaps(always((16, 6, 2, 2)), (4, 4))


def with_providers(config: ParadigmConfig | None = None) -> Given:
    """All that any paradigm asks for, and what a ReCon or a PPKT of this config does."""
    teachers = teachers_for(config if isinstance(config, ReconParadigmConfig) else ReconParadigmConfig())
    if isinstance(config, PpktConfig):
        teachers["image_teacher"] = maps_for(config)
    providers = {"teacher": small_foreign(), "latents": small_latents(), **teachers}
    return Given(num_classes=3, num_point_classes=4, providers=providers)


def contents(module: nn.Module) -> dict[str, bytes]:
    """The bytes of every parameter and buffer."""
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}
