"""A probe that is trained step by step on a backbone that is frozen, or as good as frozen, as released code
has it: ACT (Dong et al., ICLR 2023) and ReCon (Qi et al., ICML 2023) freeze what has no `cls` in its name and
leave the whole network in training mode.

It is there for comparison with their papers: `linear_probe` and `mlp_probe` fit heads on frozen features.
"""

from collections.abc import Iterable

from torch import nn

from pointlab.backbones import Backbone
from pointlab.paradigms import Given, SupervisedConfig
from pointlab.paradigms.supervised import Supervised


class TrainedProbe(Supervised):
    """A new head on a backbone without gradients; what else of it changes is said by two switches."""

    def __init__(
        self,
        config: SupervisedConfig,
        backbone: Backbone,
        given: Given,
        *,
        trains_class_token: bool,
        drifts: bool,
    ) -> None:
        """Take over `backbone`; with `drifts` it follows the training mode, BatchNorm's statistics too."""
        super().__init__(config, backbone, given)
        self.trains_class_token, self.drifts = trains_class_token, drifts
        backbone.requires_grad_(False)
        if trains_class_token:
            for parameter in backbone.class_parameters():
                parameter.requires_grad_(True)

    def frozen(self) -> Iterable[nn.Module]:
        """The backbone, where nothing of it changes; else it belongs into every checkpoint."""
        return () if self.trains_class_token or self.drifts else (self.backbone,)

    def train(self, mode: bool = True) -> "TrainedProbe":
        """Training mode for the head, and for the backbone if it drifts."""
        super().train(mode)
        if not self.drifts:
            self.backbone.eval()
        return self
