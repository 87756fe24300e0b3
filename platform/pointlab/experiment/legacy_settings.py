"""Habits of released code that no honest protocol has, each a switch: for comparison with papers only.

Published figures of Point-BERT, Point-MAE, ACT and ReCon keep the epoch that is best on the test split, and
their "frozen" backbones are frozen but for all that is called `cls`, in training mode. What is measured so is
stamped `legacy/...`, and stands in no table beside anything else.
"""

from collections.abc import Mapping

from pydantic import model_validator

from pointlab.backbones import BackboneConfig
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.backbones.recon import ReconConfig
from pointlab.config import StrictModel
from pointlab.paradigms import SupervisedConfig

PREFIX = "legacy/"
"""Of every stamp of a run with such habits, or that starts from one."""
HEADS: Mapping[str, str] = {"linear_probe": "linear", "mlp_probe": "mlp3"}
"""By protocol, the head that the papers train on a frozen backbone: MLP-LINEAR and MLP-3."""
EPOCH_ON_TEST = (
    "CHOSEN ON TEST: of all epochs at which it was measured, the one with the highest test accuracy was kept,"
    " which flatters every figure on test"
)
EPOCHS_ON_QUERIES = (
    "CHOSEN ON TEST: in each fold, the epoch with the highest accuracy on the queries was kept, which"
    " flatters their mean"
)
CLASS_TOKEN = "the backbone is called frozen, but its class token and the position of that were trained"
DRIFT = (
    "the backbone is called frozen, but its BatchNorm took the statistics of the batches and moved its own"
    " on, and drop path was on"
)
INHERITED = "it starts from a transfer with habits of released code, which its own record tells"
MEASURED = "rests on habits of released code, which its own record tells"
"""Of a subject that another run measures."""


class LegacyConfig(StrictModel):
    """Which habits, at least one."""

    best_on_test: bool = False
    """Whether the best epoch is chosen on the test split, as by Point-BERT, Point-MAE, ACT and ReCon; in
    few-shot, on the queries of each fold."""
    trained_class_token: bool = False
    """Whether the class token (or query) and its position are trained in a frozen backbone, as by ACT and
    ReCon, who freeze what has no `cls` in its name."""
    drifting_batch_norm: bool = False
    """Whether a frozen backbone stays in training mode, as theirs does: BatchNorm normalises by the batch and
    moves its statistics on, and drop path is on."""

    @model_validator(mode="after")
    def _says_something(self) -> "LegacyConfig":
        if not self.habits:
            raise ValueError(
                f"legacy has no habit switched on: set {', '.join(type(self).model_fields)} to true, or leave"
                " legacy out"
            )
        return self

    @property
    def habits(self) -> tuple[str, ...]:
        """Names of those that are on."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))

    @property
    def stamp(self) -> str:
        """What a table may compare: equal habits."""
        return "/".join(habit.replace("_", "-") for habit in self.habits)

    @property
    def moves_backbone(self) -> bool:
        """Whether a backbone that is called frozen changes."""
        return self.trained_class_token or self.drifting_batch_norm

    def notes(self, protocol: str) -> dict[str, str]:
        """In plain words, what was chosen on test, and what was not frozen."""
        chosen = EPOCHS_ON_QUERIES if protocol == "few_shot" else EPOCH_ON_TEST
        told = {"best_on_test": chosen, "trained_class_token": CLASS_TOKEN, "drifting_batch_norm": DRIFT}
        said = "; ".join(told[habit] for habit in self.habits)
        return {"legacy": f"{said}. For comparison with papers only"}


def require_known_habits(
    legacy: LegacyConfig,
    protocol: str,
    architecture: BackboneConfig,
    supervised: SupervisedConfig,
    *,
    trains_head: bool,
    tunes: bool,
) -> None:
    """ValueError for habits that a protocol cannot have: it has no epochs, or nothing that is called frozen.

    `trains_head` says that its head is trained on a frozen backbone, `tunes` that all weights are.
    """
    if not trains_head and not tunes:
        raise ValueError(
            f"legacy is set, but protocol {protocol} has no habit of released code: leave it out, or set"
            f" protocol to full, few_shot (with few_shot.head full) or {' or '.join(HEADS)}"
        )
    if tunes and legacy.moves_backbone:
        habits = [f"legacy.{habit}" for habit in legacy.habits if habit != "best_on_test"]
        raise ValueError(
            f"{' and '.join(habits)} is for backbones that are called frozen, and protocol {protocol} trains"
            f" all weights: leave it out, or set protocol to {' or '.join(HEADS)}"
        )
    if trains_head and supervised.head.kind != HEADS[protocol]:
        raise ValueError(
            f"supervised.head.kind is {supervised.head.kind}, but the {protocol} of released code trains"
            f" {HEADS[protocol]}: set supervised.head.kind to {HEADS[protocol]}"
        )
    if legacy.trained_class_token and not _has_class_token(architecture):
        raise ValueError(
            f"legacy.trained_class_token is set, but the backbone, a {architecture.kind}, has no class token:"
            " leave it out"
        )


def _has_class_token(architecture: BackboneConfig) -> bool:
    if isinstance(architecture, PatchTransformerConfig):
        return architecture.class_token
    return isinstance(architecture, ReconConfig) and "class" in architecture.queries
