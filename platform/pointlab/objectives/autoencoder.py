"""ACT's autoencoder: tokens of patches become codes, pass a foreign transformer, and become points again.

Dong et al., "Autoencoders as Cross-Modal Teachers", ICLR 2023, section 3.2; without the foreign transformer
it is the discrete autoencoder of Point-BERT (Yu et al., CVPR 2022, section 3.2).
"""

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from pointlab.config import StrictModel
from pointlab.objectives.codes import Choice, Codebook
from pointlab.objectives.folding import FoldingDecoder
from pointlab.objectives.graphs import CentreGraph
from pointlab.objectives.prompting import ForeignTransformer, PromptConfig, Prompting

GraphWidths = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class AutoencoderConfig(StrictModel):
    """Sizes of the autoencoder; its width is the embedder's."""

    num_codes: PositiveInt = 8192  # of both papers
    prompts: PromptConfig = PromptConfig()
    graph_widths: GraphWidths = (128, 256, 512, 512, 1024)
    """Of both graph networks: after the first layer and after each edge convolution; both papers'."""
    coarse_width: PositiveInt = 1024
    fine_width: PositiveInt = 512
    """Hidden channels of the folding decoder; both papers'."""


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
        self, tokens: Float[Tensor, "batch groups width"], centres: Float[Tensor, "batch groups 3"]
    ) -> Float[Tensor, "batch groups codes"]:
        """How well each code suits each patch; never much below zero, as a LeakyReLU comes last."""
        found: Tensor = self.first_graph(tokens, centres)
        return found

    def latents(
        self,
        logits: Float[Tensor, "batch groups codes"],
        centres: Float[Tensor, "batch groups 3"],
        foreign: ForeignTransformer,
        choice: Choice,
        temperature: float = 1.0,
    ) -> Float[Tensor, "batch groups width"]:
        """What stage II learns to predict: codes after the foreign transformer and the second graph."""
        coded = self.codebook(logits, choice, temperature)
        found: Tensor = self.second_graph(self.prompting(coded, centres, foreign), centres)
        return found
