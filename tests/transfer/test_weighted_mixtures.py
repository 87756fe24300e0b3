"""Mixtures whose weights have coefficients of their own: by depth, and by Fisher information."""

from typing import Any

import pytest
import torch

from conftest import tiny_transfer
from pointlab.errors import ConfigError
from pointlab.experiment.resolve import definition
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Record, Storage
from pointlab.transfer import MixtureConfig
from pointlab.transfer.sweep import GRID

PLAIN = {"batch_norm": "interpolate"}


def mixed(storage: Storage, **mixture: Any) -> Record:
    record = run(tiny_transfer(storage, protocol="wise_ft", mixture=PLAIN | mixture)).record
    assert record is not None
    return record


def test_equal_coefficients_by_depth_publish_what_a_scalar_one_does(storage: Storage) -> None:
    by_depth = mixed(storage, coefficients=GRID, by_depth=[0.5, 0.5])
    scalar = mixed(storage, coefficients=[0.5])
    assert by_depth.protocol == "wise_ft/by-depth"
    assert by_depth.metrics["selection/coefficient"] == 0.5
    assert by_depth.parents == scalar.parents  # one fine-tuning serves both
    one, other = (read_module(storage, record.run, "backbone") for record in (by_depth, scalar))
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert by_depth.metrics["test/accuracy"] == scalar.metrics["test/accuracy"]


def test_fisher_weights_move_every_weight_its_own_way_between_the_ends(storage: Storage) -> None:
    record = mixed(storage, coefficients=[0.5], weighting="fisher", fisher_samples=4)
    assert record.protocol == "wise_ft/fisher"
    start, end, found = (
        read_module(storage, name, "backbone")
        for name in (record.parents["pretrained"], record.parents["fine_tuned"], record.run)
    )
    shares = []
    for name, tensor in found.items():
        lowest, highest = torch.minimum(start[name], end[name]), torch.maximum(start[name], end[name])
        slack = 1e-6 * (1 + highest.abs().max())
        assert bool(((tensor >= lowest - slack) & (tensor <= highest + slack)).all()), name
        moved = (end[name] - start[name]).abs() > 1e-3
        if moved.any() and name.endswith("weight"):
            shares.append(((tensor - start[name]) / (end[name] - start[name]))[moved].flatten())
        if name.endswith("running_mean"):
            assert torch.allclose(tensor, (start[name] + end[name]) / 2, atol=1e-6)
    assert float(torch.cat(shares).std()) > 0.01


def test_a_grid_and_coefficients_by_depth_are_not_set_together() -> None:
    with pytest.raises(ValueError, match="coefficients and by_depth are both set"):
        MixtureConfig(coefficients=(0.0, 1.0), by_depth=(0.2, 0.8))


def test_coefficients_of_a_file_below_are_taken_back_by_null() -> None:
    taken_back = MixtureConfig.model_validate({"coefficients": None, "by_depth": [0.2, 0.8]})
    assert taken_back == MixtureConfig(by_depth=(0.2, 0.8))


@pytest.mark.parametrize("by_depth", [(0.5,), (0.1,) * 6, (0.5, 1.1), (-0.1, 0.5)])
def test_coefficients_by_depth_are_two_to_five_shares(by_depth: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="by_depth"):
        MixtureConfig(by_depth=by_depth)


def test_more_values_than_stages_are_refused_before_anything_is_trained(storage: Storage) -> None:
    """The tiny backbone has three: its patches' embedding and two blocks."""
    by_depth = {"coefficients": GRID, "by_depth": [0.1, 0.2, 0.3, 0.4]}
    with pytest.raises(ConfigError, match="4 coefficients by depth"):
        tiny_transfer(storage, mixture=by_depth)


def test_fisher_passes_count_as_clouds_seen(storage: Storage) -> None:
    plain = mixed(storage, coefficients=[0.5])
    weighed = mixed(storage, coefficients=[0.5], weighting="fisher", fisher_samples=4)
    assert weighed.samples_seen == 2 * (plain.samples_seen + 4)


def test_plain_mixtures_keep_the_identity_that_they_had(storage: Storage) -> None:
    """Settings that were added later leave no trace where they ask for nothing."""
    defined = definition(tiny_transfer(storage), lambda config: config.recipe())
    assert set(defined["mixture"]) == {"coefficients", "batch_norm", "selection"}
    assert not {"lp_ft", "soup"} & set(defined)
