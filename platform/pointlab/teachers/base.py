"""What a teacher in training is: a network of `transformers` that the ordinary loop trains."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pointlab.data.picture_augmentation import PictureAugmentation
from pointlab.paradigms import Trainable


class Teacher(Trainable):
    """Looks at one picture of each sample, and never at points."""

    tokenizer: Any = None
    """That of a network that reads."""

    def __init__(self, network: nn.Module, picture_size: int, augmentation: PictureAugmentation) -> None:
        """Take over the network, which takes pictures of so many pixels along each side."""
        super().__init__()
        self.network: Any = network
        self.picture_size, self.augmentation = picture_size, augmentation

    def exported(self) -> Mapping[str, nn.Module]:
        """The network alone."""
        return {"network": self.network}
