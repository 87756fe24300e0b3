"""What a pretraining paradigm is: a module whose `forward` is the training step.

The loop wraps the whole module (in DDP, say), calls it with a batch, and takes the gradient of the loss
that comes back. Everything that makes one paradigm differ from another lives in the module: targets,
teachers, masks, schedules, extra state.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig, Features, PointFeatures
from pointlab.config import StrictModel
from pointlab.data.picture_crops import PictureCropConfig
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError

Provider = TypeVar("Provider", bound=nn.Module)


class ParadigmSettings(StrictModel):
    """What the settings of all paradigms have."""

    num_views: ClassVar[int] = 1
    """Augmented copies of each sample that a batch carries."""

    def require_fitting(self, backbone: BackboneConfig) -> None:
        """ConfigError where settings of a backbone that goes with the paradigm do not go with its own.

        An experiment asks when it is written, before anything that it learns from is trained, and the
        paradigm again when it is built.
        """


@dataclass
class StepOutput:
    """The loss to minimise and named figures to log; each is a mean over the batch, a scalar tensor.

    The loss is logged unless `metrics` name a `loss` of their own, such as one without a backbone's penalty.
    """

    loss: Float[Tensor, ""]
    metrics: dict[str, Float[Tensor, ""]] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What a paradigm learns of the world around it when it is built: of the set that it is to train on.

    `num_rows` counts the training clouds, None where that is open; `has_estimated_normals` says whether the
    normals of any cloud are estimated.
    """

    num_classes: int
    num_rows: int | None = None
    has_estimated_normals: bool = False
    num_point_classes: int = 0
    """Classes that points are labelled by; 0 for a set that names none."""
    providers: Mapping[str, nn.Module] = field(default_factory=dict)
    """What targets come from, by the experiment's field for it: a `teacher`, finished `latents`; for
    `image_teacher` and `text_teacher` features, or the network itself where pictures vary."""
    captions: Callable[[], Mapping[int, str]] = dict
    """Reads what is said of the clouds of training and validation, by the hashes of a batch's `captions`."""


@dataclass(frozen=True)
class RebuiltPoints:
    """What a network made of clouds, in the clouds' own coordinates."""

    is_given: Bool[Tensor, "batch points"]
    """Whether a point of the batch lies in a patch that the network keeps, so that it need not be made."""
    rebuilt: Float[Tensor, "batch rebuilt 3"]
    """The points that it made."""


class Trainable(nn.Module, ABC):
    """What the loop can train: a paradigm, or a teacher; the methods below `forward` have usual defaults."""

    inputs: tuple[str, ...] = ()
    """Optional arrays that a batch must carry, such as `normals` or `pictures`."""
    picture_crop: PictureCropConfig | None = None
    """How pictures, and with them the `pixels` of points, are cut and resized; None: as stored."""
    num_views: int = 1
    """Augmented copies of each sample that a batch must carry, as the settings' own `num_views` says; all but
    the first are its `views`."""

    @abstractmethod
    def forward(self, batch: PointBatch) -> StepOutput:
        """Loss and metrics of one (micro-)batch; in eval mode, the same figures for validation."""

    @abstractmethod
    def exported(self) -> Mapping[str, nn.Module]:
        """The modules a checkpoint's users want, by name; the rest (heads, decoders) is dropped."""

    def head_parameters(self) -> Iterable[nn.Parameter]:
        """What tells classes apart, and may learn faster than the rest (`head_learning_rate_factor`)."""
        return ()

    def frozen(self) -> Iterable[nn.Module]:
        """Modules kept out of training: no gradients, eval mode, not saved with every checkpoint."""
        return ()

    def before_step(self, step: int, num_steps: int) -> None:
        """Move schedules (temperature, loss weights) to their values at `step`."""

    def after_step(self, step: int, num_steps: int) -> None:
        """Follow the weights that were just updated (momentum encoders, queues)."""

    def summarise(self, figures: Mapping[str, float]) -> dict[str, float]:
        """What a validation tells, made of the means of its figures over the whole split; by default these.

        For figures that are no means, such as the mean intersection over union: their parts are.
        """
        return dict(figures)

    def score(self, figures: Mapping[str, float]) -> float:
        """How good a validation is, by what `summarise` gave; `selection: best` keeps the highest."""
        return figures.get("accuracy", -figures["loss"])

    def per_rank_state(self) -> dict[str, Tensor]:
        """State that differs between workers and that the future depends on; what is the same is a buffer.

        It is kept in plain attributes: a buffer would be taken for a weight, which is the same on each.
        """
        return {}

    def load_per_rank_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `per_rank_state` gave."""

    def train(self, mode: bool = True) -> "Trainable":
        """Training mode for all but the frozen modules, which stay in eval mode."""
        super().train(mode)
        for module in self.frozen():
            module.eval()
        return self

    def freeze(self) -> None:
        """Switch gradients off in the frozen modules."""
        for module in self.frozen():
            module.requires_grad_(False)


class Paradigm(Trainable):
    """One way to train a backbone."""

    backbone: Backbone
    names_points: bool = False
    """Whether the classes that it tells apart are those of points, and not of clouds."""

    def exported(self) -> Mapping[str, nn.Module]:
        """The backbone alone, unless a paradigm leaves more."""
        return {"backbone": self.backbone}

    def rebuild(self, batch: PointBatch) -> RebuiltPoints | None:  # noqa: ARG002
        """What it makes of the batch, with a new draw of what it hides; None where points are not what it
        makes."""
        return None


def require_provider(given: Given, role: str, kind: type[Provider], described: str) -> Provider:
    """The provider of this role; ConfigError where the experiment names none, or one of another kind.

    `described` says in words what is needed.
    """
    provider = given.providers.get(role)
    if not isinstance(provider, kind):
        found = "none" if provider is None else "another kind of network"
        raise ConfigError(
            f"This paradigm learns from {described}, and the experiment gives {found} as {role}.",
            remedy=f"set {role} in the experiment, beside paradigm",
        )
    return provider


def with_penalty(loss: Float[Tensor, ""], *features: Features | PointFeatures) -> Float[Tensor, ""]:
    """`loss`, and what the backbone's paper adds to any loss, if anything.

    Where the backbone was asked for several equally large batches, as for two views, it is the mean of their
    penalties: as heavy as for one batch of all.
    """
    penalties = [one.penalty for one in features if one.penalty is not None]
    return loss + torch.stack(penalties).mean() if penalties else loss


def require_labels(batch: PointBatch) -> Int64[Tensor, " batch"]:
    """The class of every cloud; DataError if one has none."""
    if batch.labels is None or bool((batch.labels < 0).any()):
        raise DataError(
            "A cloud without a label reached supervised training.",
            expected="a label for every cloud",
            remedy="choose a labelled set, or a paradigm that needs no labels",
        )
    return batch.labels
