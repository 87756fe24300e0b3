"""ACT as small as it can be: a stage I around a random teacher, and what learns from its latents."""

from typing import Any

from conftest import BACKBONE, PRETRAIN
from pointlab.config import merge, validate
from pointlab.experiment import PretrainExperiment
from pointlab.storage import Storage

NETWORK = {
    "kind": "vit",
    "picture_size": 16,
    "patch_size": 8,
    "width": 16,
    "depth": 2,
    "num_heads": 2,
}
EMBEDDING = {
    "kind": "patch_embedding",
    "width": 16,
    "num_groups": 8,
    "group_size": 4,
    "embedder_widths": [8, 16, 16],
}
AUTOENCODER = {
    "num_codes": 16,
    "prompts": {"num_prompts": 2},
    "graph_widths": [8, 8, 8, 8, 16],
    "coarse_width": 16,
    "fine_width": 16,
}
STAGE_ONE: dict[str, Any] = merge(
    PRETRAIN,
    {
        "name": "stage-one",
        "backbone": EMBEDDING,
        "paradigm": {"kind": "act_autoencoder", "autoencoder": AUTOENCODER},
        "teacher": {"kind": "random", "network": NETWORK},
        "training": {"epochs": 1},
    },
)
STAGE_TWO: dict[str, Any] = merge(
    PRETRAIN,
    {
        "name": "stage-two",
        "backbone": BACKBONE,
        "paradigm": {"kind": "act", "decoder": {"num_heads": 2}},
        "latents": STAGE_ONE,
        "training": {"epochs": 1},
    },
)


def tiny_act(storage: Storage, **changes: Any) -> PretrainExperiment:
    """Stage II, and the stage I that it starts from, with nested changes, in this store."""
    settings = merge(merge(STAGE_TWO, {"storage": {"root": storage.address}}), changes)
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment
