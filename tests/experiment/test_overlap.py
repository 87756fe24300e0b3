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


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({}, True),
        ({"num_points": 512}, True),
        ({"name": "other"}, False),
        ({"validation_fraction": 0.2}, False),
        ({"name": "other", "source": {"kind": "modelnet_off"}}, True),
    ],
)
def test_of_files_that_are_split_otherwise_nobody_can_tell(changes: dict[str, Any], is_known: bool) -> None:
    files = {"name": "files", "source": {"kind": "folder", "up_axis": "y"}}
    notes = noted(merge(files, changes), files)
    assert ("validation" in notes) != is_known
    assert (
        is_known
        or f"learned of {changes.get('name', 'files')}, files of the same kind" in notes["validation"]
    )


def test_of_files_without_a_carved_validation_nothing_is_said() -> None:
    files = {"name": "files", "source": {"kind": "folder", "up_axis": "y"}}
    assert noted({**files, "name": "other"}, {**files, "validation_fraction": 0.0}) == {}


def told(changes: dict[str, Any]) -> dict[str, str]:
    """Of the tiny shapes after a pretraining on them with these changes."""
    return noted(merge(PRETRAIN["data"], changes), SHAPES)


def noted(trained_on: Any, target: Any) -> dict[str, str]:
    """Of this target after a pretraining on that set."""
    own = {
        "pretrained": {**PRETRAIN, "data": trained_on},
        "data": target,
        "protocol": "full",
        "shifted": None,
    }
    return note_on_overlap(validate(TransferExperiment, {**TRANSFER, **own}, "test"))
