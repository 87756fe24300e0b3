"""A transfer keeps its best step unless it says otherwise."""

from typing import Any

import pytest

from conftest import TRANSFER
from pointlab.config import validate
from pointlab.experiment import TransferExperiment


@pytest.mark.parametrize(
    ("training", "selection"),
    [({}, "best"), ({"epochs": 30}, "best"), ({"selection": "last"}, "last"), (None, "best")],
)
def test_the_best_step_is_kept_also_where_other_settings_of_training_are_given(
    training: dict[str, Any] | None, selection: str
) -> None:
    settings = {key: value for key, value in TRANSFER.items() if key != "training"}
    if training is not None:
        settings["training"] = training
    experiment: TransferExperiment = validate(TransferExperiment, settings, "test")
    assert experiment.training.selection == selection
