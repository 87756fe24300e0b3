"""What a search refuses when it is read, each with what to do instead."""

from typing import Any, get_args

import pytest

from pointlab.config import apply_overrides, merge, nested
from pointlab.errors import ConfigError, PointlabError
from pointlab.experiment import TransferExperiment
from pointlab.experiment.search import make_trial
from pointlab.experiment.tasks import READ_UNDER, Protocol
from tiny_search import RATE, tiny_search

OF_TRAINING: dict[str, list[Any]] = {
    "training.epochs": [1, 2],
    "training.optimiser.learning_rate": [1e-3, 2e-3],
    "augmentation.jitter": [0.0, 0.1],
    "supervised.label_smoothing": [0.0, 0.1],
}
"""What a fine-tuning reads, and no protocol that fits its head at once."""
SGD = {"kind": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4}
ONE_OF_TWO = {"kind": "choice", "values": [1e-3, 2e-3]}
HALVES = {"kind": "choice", "values": [0.25, 0.75]}
ON_TEST = {"legacy": {"best_on_test": True}, "mixture": {"coefficients": None}}
TWO = [{"metric": "validation/accuracy"}, {"metric": "shifted-validation/accuracy"}]


@pytest.mark.parametrize("values", [[64, 56], [56, 64]])
def test_a_search_over_other_datasets_is_refused(values: list[int]) -> None:
    """Also where the first of its values is what the set has."""
    with pytest.raises(PointlabError, match="datasets of a search are fixed"):
        tiny_search(space={"pretrained.data.num_points": {"kind": "choice", "values": values}})


@pytest.mark.parametrize(
    ("path", "values"), [("protocol", ["wise_ft_lp", "linear_svm"]), ("samples_per_class", [1, 2])]
)
def test_a_search_over_what_no_table_compares_is_refused(path: str, values: list[int | str]) -> None:
    with pytest.raises(PointlabError, match=rf"space\.{path} makes a trial's protocol .* wise_ft_lp, and no"):
        tiny_search(space={path: {"kind": "choice", "values": values}})


def test_a_space_with_an_impossible_value_is_refused() -> None:
    with pytest.raises(PointlabError, match="dropout"):
        tiny_search(space={"supervised.head.dropout": {"kind": "choice", "values": [0.5, 1.5]}})


def test_a_space_with_an_unknown_path_is_refused() -> None:
    with pytest.raises(PointlabError, match="did you mean 'optimiser'"):
        tiny_search(space={"training.optimizer.learning_rate": {"kind": "choice", "values": [1.0]}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": {"kind": "grid"}}, rf"set space\.{RATE}\.steps"),
        ({"objectives": [{"metric": "test/accuracy"}]}, r"of a test split.* such as validation/accuracy"),
        ({"objectives": [{"metric": "shifted-test/accuracy"}]}, "such as shifted-validation/accuracy"),
        ({"objectives": [{"metric": "accuracy"}]}, "expected split/figure"),
        ({"objectives": [TWO[0], TWO[0]]}, "names a metric twice"),
        (
            {"objectives": [{"metric": "target-validation/acuracy"}]},
            r"acuracy, which no trial will have: did you mean target-validation/accuracy\?",
        ),
        ({"objectives": [{"metric": "corrupted-validation/mOA"}]}, "which no trial will have"),
        (
            {
                "objectives": [{"metric": "corrupted-validation/mCE"}],
                "transfer": {"corruptions": {"name": "modelnet_c", "severities": [3]}},
            },
            "corrupted-validation/mCE, which no trial will have",
        ),
        ({"transfer": {"protocol": "full", **ON_TEST}}, "trials of a search leave alone: leave it out"),
        ({"space": {"mixture.by_depth.0": HALVES}}, "by_depth is null, and has no entries.*out as a list"),
        ({"objectives": TWO, "stopping": {"kind": "asha"}}, "by one figure, and there are 2 objectives"),
        ({"sampler": {"kind": "nsga2"}, "stopping": {"kind": "asha"}}, "nsga2 breeds from"),
        ({"launch": {"num_workers": [1, 2]}}, r"num_workers is \[1, 2\], but every trial"),
        ({"launch": {"kind": "local"}}, "must be 'ray'"),
        ({"space": {RATE: {"kind": "uniform", "low": 1e-2, "high": 1e-2}}}, "expected low below high"),
    ],
)
def test_settings_that_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_search(**changes)


@pytest.mark.parametrize(
    ("path", "values", "changes"),
    [
        ("test", [True, False], {}),
        ("name", ["one", "two"], {}),
        ("storage.root", ["here", "there"], {}),
        ("launch.num_workers", [1, 2], {}),
        ("training.num_threads", [1, 2], {}),
        ("mixture.coefficients.1", [0.25, 0.5], {"protocol": "full"}),
        ("probe.max_iterations", [7, 8], {"protocol": "full"}),
        ("voting.votes", [5, 10], {"protocol": "full", "voting": {}}),
        ("zero_shot.ratio", [0.1, 0.5], {}),
        ("probe.max_iterations", [7, 8], {"protocol": "knn"}),
        ("training.optimiser.momentum", [0.8, 0.9], {"protocol": "full"}),
        ("training.optimiser.betas.0", [0.8, 0.9], {"protocol": "full", "training": {"optimiser": SGD}}),
        *((path, values, {"protocol": "linear_probe"}) for path, values in OF_TRAINING.items()),
    ],
)
def test_a_path_without_effect_is_refused(
    path: str, values: list[float | str], changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"space\.{path} makes no difference"):
        tiny_search(space={path: {"kind": "choice", "values": values}}, transfer=changes)


@pytest.mark.parametrize("path", OF_TRAINING)
def test_the_same_path_is_searched_where_it_is_read(path: str) -> None:
    space = {path: {"kind": "choice", "values": OF_TRAINING[path]}}
    assert tiny_search(space=space, transfer={"protocol": "full"}).space.keys() == space.keys()


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ({"minimum_learning_rate": [1e-6, 1e-3]}, {"optimiser.learning_rate": [5e-4, 1e-2]}),
        ({"warmup_epochs": [0, 2]}, {"epochs": [1, 4]}),
        ({"accumulation": [1, 8]}, {"batch_size": [4, 16]}),
    ],
)
def test_settings_that_are_possible_by_themselves_and_not_together_are_refused(
    smaller: dict[str, list[Any]], larger: dict[str, list[Any]]
) -> None:
    """And accepted where every trial can have both."""
    training = {"epochs": 4, "batch_size": 16, "warmup_epochs": 0, "optimiser": {"learning_rate": 5e-3}}
    transfer = {"protocol": "full", "training": training}

    def space(*parts: dict[str, list[Any]]) -> dict[str, Any]:
        return {
            f"training.{path}": {"kind": "choice", "values": values}
            for part in parts
            for path, values in part.items()
        }

    (small,), (large,) = smaller, larger
    with pytest.raises(ConfigError, match=rf"space\.training\.{small} goes up to .*\.{large} down to"):
        tiny_search(space=space(smaller, larger), transfer=transfer)
    fitting = {large: [larger[large][1], 2 * larger[large][1]]}
    assert tiny_search(space=space(smaller, fitting), transfer=transfer)


def test_what_a_frozen_backbone_reads_of_the_training_is_searched() -> None:
    space = {"training.batch_size": {"kind": "choice", "values": [8, 16]}}
    assert tiny_search(space=space, transfer={"protocol": "linear_probe"})


def test_fields_that_are_for_some_protocols_are_fields() -> None:
    """And each protocol that reads one is a protocol."""
    assert READ_UNDER.keys() <= TransferExperiment.model_fields.keys()
    assert frozenset().union(*READ_UNDER.values()) <= set(get_args(Protocol))


def test_a_search_around_a_transfer_that_votes_is_accepted() -> None:
    """Its trials have no test, so their stamp says nothing of votes."""
    assert tiny_search(transfer={"protocol": "full", "voting": {}}).transfer.voting is not None


def test_a_whole_number_cannot_have_a_range() -> None:
    with pytest.raises(ConfigError, match="expected a whole number"):
        tiny_search(space={"training.batch_size": {"kind": "uniform", "low": 8, "high": 16}})


def test_a_search_over_pretraining_on_several_workers_is_refused() -> None:
    path = "pretrained.training.optimiser.learning_rate"
    with pytest.raises(ConfigError, match=r"num_workers is 2, but what a trial pretrains"):
        tiny_search(space={path: ONE_OF_TWO}, launch={"num_workers": 2})


def test_more_trials_than_the_grid_has_points_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_trials is 3, but the grid has 2 points"):
        tiny_search(space={RATE: ONE_OF_TWO}, sampler={"kind": "grid"})


def test_a_whole_grid_has_as_many_trials_as_points() -> None:
    space = {RATE: ONE_OF_TWO, "seed": {"kind": "choice", "values": [0, 1, 2]}}
    assert tiny_search(space=space, sampler={"kind": "grid"}, num_trials=None).total == 6
    assert tiny_search(num_trials=None).total == 16


def test_a_number_in_a_path_is_a_place_in_a_list() -> None:
    path = "mixture.coefficients.1"
    search = tiny_search(space={path: {"kind": "uniform", "low": 0.2, "high": 0.8}})
    assert make_trial(search, {path: 0.25}).mixture.coefficients == (0.0, 0.25, 1.0)
    assert apply_overrides({"a": [1, {"b": 2}]}, ["a.1.b=3"]) == {"a": [1, {"b": 3}]}


def test_a_place_that_a_list_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.2 is set, but a has 2 entries.*below 2"):
        merge({"a": [1, 2]}, nested("a.2", 3))
