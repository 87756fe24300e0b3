"""What a run is named by: the settings that its result depends on, whatever was added since it was made."""

from typing import Any

import pytest

from conftest import TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import TransferExperiment
from pointlab.experiment.resolve import definition


def named_by(**changes: Any) -> dict[str, Any]:
    experiment = validate(TransferExperiment, merge(TRANSFER, changes), "test")
    found: dict[str, Any] = definition(experiment, lambda data: f"{data.name}-hash")
    return found


def test_a_run_is_named_by_what_it_was_named_by_when_it_was_made() -> None:
    """Other keys would let nobody find what is finished: a new field is to be `ADDED_LATER`."""
    found = named_by()
    own = (
        "kind pretrained backbone data shifted num_points samples_per_class protocol augmentation supervised"
    )
    assert set(found) == {*own.split(), "training", "mixture", "probe", "test"}
    of_optimiser = "kind learning_rate weight_decay betas momentum clip_norm layer_decay"
    assert set(found["training"]["optimiser"]) == set(of_optimiser.split())


@pytest.mark.parametrize(
    "changes",
    [
        {"num_groups": 12},
        {"drop_path_rate": 0.2},
        {"training": {"optimiser": {"head_learning_rate_factor": 10}}},
        {"protocol": "linear_svm", "svm": {"strengths": [1.0]}},
    ],
)
def test_a_setting_that_was_added_counts_where_it_is_used(changes: dict[str, Any]) -> None:
    without = {key: value for key, value in changes.items() if key == "protocol"}
    assert named_by(**changes) != named_by(**without)


def test_a_setting_that_the_protocol_does_not_read_does_not_count() -> None:
    assert named_by(svm={"strengths": [1.0]}, zero_shot={"ratio": 1.0}) == named_by()
    assert "max_iterations" in named_by(protocol="linear_svm")["svm"]  # also where it is the default
