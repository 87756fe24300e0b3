"""What all backbones share that begin with patches: how clouds are cut, and how patches become tokens."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from pointlab.backbones.patches import Patches, group_patches
from pointlab.backbones.surface import Backbone
from pointlab.data.sample import PointBatch


class PatchBackbone(Backbone):
    """A backbone whose first stage, `embedding`, has a token for each patch. Subclasses set the two below."""

    config: Any
    """Settings with `num_groups`, `group_size` and `skip_near_origin` among them."""
    embedder: nn.Module
    """From members of patches, and company, to tokens, as `PatchEmbedder` does."""

    @property
    def fewest_points(self) -> int:
        """The fewest points that patches can be cut of."""
        return int(max(self.config.num_groups, self.config.group_size))

    def group(self, batch: PointBatch) -> Patches:
        """Patches of every cloud of the batch; DataError if one has fewer than `min_points` points."""
        self._check_counts(batch)
        return batch.geometry(
            group_patches,
            num_groups=self.config.num_groups,
            group_size=self.config.group_size,
            skip_near_origin=self.config.skip_near_origin,
        )

    def embed(self, patches: Patches, company: Patches | None = None) -> Float[Tensor, "batch groups width"]:
        """A token for each patch, which knows its shape but not yet its place.

        `company`: patches that only batch normalisation sees, while training; they get no token.
        """
        others = None if company is None else company.neighbourhoods
        tokens: Tensor = self.embedder(patches.neighbourhoods, others)
        return tokens

    def stage_of(self, parameter: str) -> str:
        """The block that owns `parameter`; the last for the norm, else the embedding."""
        part, _, rest = parameter.partition(".")
        if part == "blocks":
            return self.stages[1 + int(rest.partition(".")[0])]
        return self.stages[-1 if part == "norm" else 0]
