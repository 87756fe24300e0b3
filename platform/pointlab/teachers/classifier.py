"""A classifier of pictures in training: cross-entropy on the classes of what they show.

ViT: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021. ResNet: He et al., "Deep Residual
Learning for Image Recognition", CVPR 2016.
"""

import torch.nn.functional as F

from pointlab.data.picture_augmentation import PictureAugmentation, varied
from pointlab.data.sample import PointBatch
from pointlab.paradigms import StepOutput
from pointlab.paradigms.base import require_labels
from pointlab.paradigms.classifying import is_right
from pointlab.teachers.base import Teacher
from pointlab.teachers.networks import build_classifier
from pointlab.teachers.pictures import require_pictures, to_pixels
from pointlab.teachers.settings import ResNetConfig, VitConfig


class PictureClassifier(Teacher):
    """A network from a picture to its class."""

    inputs = ("pictures",)

    def __init__(
        self,
        config: VitConfig | ResNetConfig,
        augmentation: PictureAugmentation,
        class_names: tuple[str, ...],
    ) -> None:
        """With new weights, from torch's generator."""
        super().__init__(build_classifier(config, class_names), config.picture_size, augmentation)

    def forward(self, batch: PointBatch) -> StepOutput:
        """Cross-entropy and accuracy; DataError for a sample without picture or label."""
        labels = require_labels(batch)
        pixels = to_pixels(require_pictures(batch), self.picture_size)
        logits = self.network(varied(pixels, self.augmentation) if self.training else pixels).logits
        loss = F.cross_entropy(logits, labels)
        return StepOutput(loss, {"loss": loss.detach(), "accuracy": is_right(logits, labels).mean()})
