"""The pretraining paradigms, independent of each other.

To add one: its module here, its configuration beside it, its test, and one entry in the table.
"""

from collections.abc import Callable
from typing import Any

from pointlab.backbones import Backbone
from pointlab.paradigms.base import Given, Paradigm, StepOutput
from pointlab.paradigms.supervised import Supervised, SupervisedConfig

PARADIGMS: dict[str, Callable[[Any, Backbone, Given], Paradigm]] = {"supervised": Supervised}

ParadigmConfig = SupervisedConfig


def build_paradigm(config: ParadigmConfig, backbone: Backbone, given: Given) -> Paradigm:
    """The paradigm that `config` names, around `backbone`."""
    return PARADIGMS[config.kind](config, backbone, given)


__all__ = [
    "PARADIGMS",
    "Given",
    "Paradigm",
    "ParadigmConfig",
    "StepOutput",
    "SupervisedConfig",
    "build_paradigm",
]
