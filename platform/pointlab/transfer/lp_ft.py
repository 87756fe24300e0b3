"""LP-FT: the linear probe first, then all weights, beginning with the probe's head.

Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022,
section 3.4: a random head pulls features about until it fits; one that already fits leaves them nearly where
they were. In the paper's code the network is in eval mode while it is fine-tuned, so that BatchNorm uses the
pretrained statistics; here that is a setting, and of BatchNorm alone: drop path stays on.
"""

from typing import Literal

from torch import nn

from pointlab.backbones import Backbone
from pointlab.config import StrictModel
from pointlab.paradigms.base import Given
from pointlab.paradigms.supervised import Supervised, SupervisedConfig
from pointlab.transfer.batch_norm import batch_norms


class LpFtConfig(StrictModel):
    """What BatchNorm does while all weights are trained."""

    batch_norm: Literal["eval", "train"] = "eval"
    """eval: it keeps the statistics with which the probe was fitted, as in the paper's code; train: it takes
    those of the batches, as in any other fine-tuning."""


class FromProbe(Supervised):
    """Supervised training that begins with a probed head."""

    def __init__(
        self, config: SupervisedConfig, backbone: Backbone, given: Given, probe: nn.Linear, lp_ft: LpFtConfig
    ) -> None:
        """Take over `backbone` and the values of `probe`; the configured head is a linear one."""
        super().__init__(config, backbone, given)
        (layer,) = self.head
        layer.load_state_dict(probe.state_dict())
        self.keeps_statistics = lp_ft.batch_norm == "eval"

    def train(self, mode: bool = True) -> "FromProbe":
        """As of any module, but for BatchNorm that keeps its statistics."""
        super().train(mode)
        if self.keeps_statistics:
            for layer in batch_norms(self.backbone):
                layer.eval()
        return self
