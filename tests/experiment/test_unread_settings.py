"""What a transfer sets and does not read is named."""

from typing import Any

import pytest

from conftest import TRANSFER
from pointlab.config import merge, validate
from pointlab.experiment import TransferExperiment
from pointlab.experiment.unread_settings import unread_settings

WITHOUT_MIXTURE = {"mixture": {"coefficients": None}}


@pytest.mark.parametrize(
    ("changes", "unread"),
    [
        ({}, []),
        (
            {"knn": {"num_neighbours": [3]}, "soup": {"method": "uniform"}},
            ["knn.num_neighbours", "soup.method"],
        ),
        ({"protocol": "full"}, ["mixture.coefficients"]),
        ({"protocol": "full", "training": {"ema_decay": 0.9}, **WITHOUT_MIXTURE}, []),
        (
            {"protocol": "knn", "few_shot": {"ways": 3}, **WITHOUT_MIXTURE},
            ["few_shot.ways", "training.epochs"],
        ),
    ],
)
def test_settings_of_other_protocols_are_named_and_those_that_count_are_not(
    changes: dict[str, Any], unread: list[str]
) -> None:
    settings = merge(merge(TRANSFER, {"training": {"epochs": 3}}), changes)
    found = unread_settings(validate(TransferExperiment, settings, "test"))
    assert set(unread) <= set(found)
    assert bool(unread) == bool(found)
