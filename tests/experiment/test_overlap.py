"""Validation clouds that a pretraining was trained on are counted, where built-in sets are split apart."""

from typing import Any

import pytest

from conftest import PRETRAIN, SHAPES, TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import TransferExperiment
from pointlab.experiment.overlap import note_on_overlap


@pytest.mark.parametrize(
    "changes",
    [{}, {"num_points": 48}, {"source": {"seed": 1}}, {"source": {"kind": "scans"}, "name": "scans"}],
)
def test_sets_that_are_split_alike_or_hold_other_objects_share_none(changes: dict[str, Any]) -> None:
    assert told(changes) == {}


def test_with_more_objects_some_for_training_are_the_other_set_s_validation() -> None:
    """Of four objects of a class one is for validation; without validation all four are trained on."""
    assert told({"validation_fraction": 0.0})["validation"].startswith("16 of 16 clouds show objects that")


def told(changes: dict[str, Any]) -> dict[str, str]:
    """Of the tiny shapes after a pretraining on them with these changes."""
    pretrained = merge(PRETRAIN, {"data": changes})
    settings = merge(
        TRANSFER, {"pretrained": pretrained, "data": SHAPES, "protocol": "full", "shifted": None}
    )
    return note_on_overlap(validate(TransferExperiment, {**settings, "data": SHAPES}, "test"))
