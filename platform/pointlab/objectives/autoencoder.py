"""ACT's autoencoder: tokens of patches become codes, pass a foreign transformer, and become points again.

Dong et al., "Autoencoders as Cross-Modal Teachers", ICLR 2023, section 3.2; without the foreign transformer
it is the discrete autoencoder of Point-BERT (Yu et al., CVPR 2022, section 3.2).
"""

from typing import Annotated

from jaxtyping import Float, Int64
from pydantic import AfterValidator, PositiveInt
from torch import Tensor, nn

from pointlab.config import StrictModel
from pointlab.errors import ConfigError
from pointlab.objectives.codes import Choice, Codebook
from pointlab.objectives.folding import FoldingDecoder, num_coarse_points
from pointlab.objectives.graphs import (
    NUM_NORM_GROUPS,
    CentreGraph,
    is_shared_by_norms,
    nearest_centres,
    require_neighbours,
)
from pointlab.objectives.prompting import ForeignTransformer, PromptConfig, Prompting


def _shared(channels: int) -> int:
    if not is_shared_by_norms(channels):
        raise ValueError(
            f"group normalisation shares channels out among {NUM_NORM_GROUPS} groups: choose a multiple of"
            f" {NUM_NORM_GROUPS}"
        )
    return channels


NormalisedWidth = Annotated[PositiveInt, AfterValidator(_shared)]
"""A number of channels that is followed by group normalisation."""
GraphWidths = tuple[PositiveInt, NormalisedWidth, NormalisedWidth, NormalisedWidth, NormalisedWidth]


class AutoencoderConfig(StrictModel):
    """Sizes of the autoencoder; its width is the embedder's."""

    num_codes: NormalisedWidth = 8192  # of both papers
    prompts: PromptConfig = PromptConfig()
    graph_widths: GraphWidths = (128, 256, 512, 512, 1024)
    """Of both graph networks: after the first layer and after each edge convolution; both papers'."""
    coarse_width: PositiveInt = 1024
    fine_width: PositiveInt = 512
    """Hidden channels of the folding decoder; both papers'."""

    def require_patches(self, width: int, num_groups: int, group_size: int) -> None:
        """ConfigError where graphs cannot join, or folding cannot make, such patches and their tokens."""
        if not is_shared_by_norms(width):
            raise ConfigError(
                f"backbone.width is {width}.",
                expected=f"a multiple of {NUM_NORM_GROUPS}: groups that are normalised share its channels",
                remedy="change backbone.width",
            )
        require_neighbours(num_groups)
        num_coarse_points(group_size)


class Autoencoder(nn.Module):
    """All of stage I that is trained, but the embedder: graph, codes, prompts, graph, folding."""

    def __init__(
        self, config: AutoencoderConfig, width: int, group_size: int, foreign: ForeignTransformer
    ) -> None:
        """For patches of `group_size` points and tokens of `width` channels; `foreign` is used, not kept."""
        super().__init__()
        self.width = width
        self.first_graph = CentreGraph(width, config.num_codes, config.graph_widths)
        self.codebook = Codebook(config.num_codes, width)
        self.prompting = Prompting(config.prompts, width, foreign)
        self.second_graph = CentreGraph(width, width, config.graph_widths)
        self.decoder = FoldingDecoder(width, group_size, config.coarse_width, config.fine_width)

    def logits(
        self,
        tokens: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        neighbours: Int64[Tensor, "batch groups neighbours"] | None = None,
    ) -> Float[Tensor, "batch groups codes"]:
        """How well each code suits each patch; never much below zero, as a LeakyReLU comes last.

        `neighbours` are the `nearest_centres`, here as below, which are searched for unless they are given.
        """
        graph = nearest_centres(centres) if neighbours is None else neighbours
        found: Tensor = self.first_graph(tokens, graph)
        return found

    def latents(
        self,
        logits: Float[Tensor, "batch groups codes"],
        centres: Float[Tensor, "batch groups 3"],
        foreign: ForeignTransformer,
        choice: Choice,
        temperature: float = 1.0,
        *,
        neighbours: Int64[Tensor, "batch groups neighbours"] | None = None,
    ) -> Float[Tensor, "batch groups width"]:
        """What stage II learns to predict: codes after the foreign transformer and the second graph."""
        coded = self.codebook(logits, choice, temperature)
        graph = nearest_centres(centres) if neighbours is None else neighbours
        found: Tensor = self.second_graph(self.prompting(coded, centres, foreign), graph)
        return found
