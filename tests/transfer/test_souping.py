"""A soup averages fine-tunings that are runs of their own, and chooses among them on validation alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import tiny_transfer
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.experiment.resolve import definition
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Record, Storage
from pointlab.transfer.sweep import GRID

INGREDIENTS: list[dict[str, Any]] = [{}, {"training.optimiser.learning_rate": 3e-3}]


def tiny_soup(storage: Storage, **changes: Any) -> TransferExperiment:
    """Of two fine-tunings, with statistics that are averaged like weights."""
    settings = {"method": "uniform", "ingredients": INGREDIENTS, **changes.pop("soup", {})}
    plain = {"batch_norm": "interpolate", "coefficients": GRID}
    mixture = {**plain, **changes.pop("mixture", {})}
    return tiny_transfer(storage, protocol="soup", soup=settings, mixture=mixture, **changes)


def weights_of(storage: Storage, run_name: str) -> dict[str, Tensor]:
    return {
        f"{module}/{name}": tensor
        for module in ("backbone", "head")
        for name, tensor in read_module(storage, run_name, module).items()
    }


def finished(experiment: TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def test_a_uniform_soup_is_the_mean_of_its_fine_tunings_head_included(storage: Storage) -> None:
    record = finished(tiny_soup(storage))
    one, other = (weights_of(storage, record.parents[f"ingredient-{number}"]) for number in range(2))
    soup = weights_of(storage, record.run)
    assert soup.keys() == one.keys()
    for name, tensor in soup.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (one[name] + other[name]) / 2, atol=1e-6), name
        else:
            assert torch.equal(tensor, one[name])
    assert not torch.equal(one["head/8.weight"], other["head/8.weight"])
    assert record.protocol == "soup/uniform"
    assert [row["members"] for row in record.curves["soup"]] == ["0", "1", "0, 1"]
    assert [row["kept"] for row in record.curves["soup"]] == ["no", "no", "yes"]


def test_a_greedy_soup_keeps_by_validation_and_ends_with_what_the_curve_says(storage: Storage) -> None:
    record = finished(tiny_soup(storage, soup={"method": "greedy"}, mixture={"batch_norm": "reestimate"}))
    *_, last = [row for row in record.curves["soup"] if row["kept"] == "yes"]
    alone = [float(row["score"]) for row in record.curves["soup"] if row["num_members"] == 1]
    assert record.metrics["selection/score"] == last["score"] >= max(alone)
    for split in ("target", "shifted"):
        assert record.metrics[f"{split}-validation/accuracy"] == last[f"{split}-validation/accuracy"]
    assert {"test/accuracy", "shifted-test/accuracy"} <= record.metrics.keys()
    assert record.notes["ingredients"].startswith(str(last["members"]))


def test_statistics_of_a_soup_are_those_of_the_training_clouds_in_its_head_as_well(storage: Storage) -> None:
    averaged = weights_of(storage, finished(tiny_soup(storage, name="averaged")).run)
    anew = tiny_soup(storage, name="anew", mixture={"batch_norm": "reestimate"})
    found = weights_of(storage, finished(anew).run)
    assert {n.split("/")[0] for n in found if n.endswith("running_mean")} == {"backbone", "head"}
    for name, tensor in found.items():
        if not name.endswith("num_batches_tracked"):  # a count of batches may be the same
            is_statistic = name.endswith(("running_mean", "running_var"))
            assert torch.equal(tensor, averaged[name]) != is_statistic, name


def test_a_soup_that_is_probed_again_has_a_linear_head(storage: Storage) -> None:
    record = finished(tiny_soup(storage, soup={"probe_again": True}))
    assert read_module(storage, record.run, "head").keys() == {"weight", "bias"}
    assert record.protocol == "soup/uniform/probed-again"
    assert record.metrics["test/accuracy"] >= 0


def test_an_ingredient_is_the_full_fine_tuning_with_its_settings_and_no_others(storage: Storage) -> None:
    experiment = tiny_soup(storage)
    plain, faster = (experiment.fine_tunings[f"ingredient-{number}"] for number in range(2))
    assert faster.training.optimiser.learning_rate == 3e-3
    assert faster.training.optimiser.learning_rate != plain.training.optimiser.learning_rate
    assert (faster.seed, faster.supervised, faster.data) == (plain.seed, plain.supervised, plain.data)
    mixed = tiny_transfer(storage).fine_tuning
    assert mixed is not None
    same = [definition(each, lambda config: config.recipe()) for each in (plain, mixed)]
    assert same[0] == same[1]
    assert plain.name == mixed.name  # so that a mixture and a soup share it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ingredients": [{}]}, "soup.ingredients has 1"),
        ({"ingredients": [{}, {"seed": 1}]}, "sets seed"),
        ({"ingredients": [{}, {"supervised.head.kind": "linear"}]}, "sets supervised.head"),
        (
            {"ingredients": [{"supervised.head.kind": "linear"}, {"supervised.head": {"kind": "linear"}}]},
            "ingredients.0 sets supervised.head",
        ),
        ({"ingredients": [{}, {"training.epochs": 2}]}, "0 and 1 are equal"),
        ({"ingredients": [{}, {"training.checkpoint_every": 7}]}, "0 and 1 are equal"),
        ({"ingredients": [{}, {"training.optimiser.learning_rte": 0.1}]}, "learning_rate"),
    ],
)
def test_ingredients_that_make_no_soup_are_refused_when_it_is_written(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_soup(storage, soup=changes)


def test_a_soup_has_no_fine_tuned_end_to_take_statistics_from(storage: Storage) -> None:
    with pytest.raises(ConfigError, match="batch_norm is fine_tuned"):
        tiny_soup(storage, mixture={"batch_norm": "fine_tuned"})


@pytest.mark.parametrize(
    "setting", [{"weighting": "fisher"}, {"by_depth": [0.2, 0.8]}, {"coefficients": [0.0, 1.0]}]
)
def test_how_two_ends_are_weighed_is_refused_by_a_soup(storage: Storage, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"mixture\.{next(iter(setting))} is set, but a soup"):
        tiny_soup(storage, mixture=setting)
