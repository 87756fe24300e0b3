"""What mixtures mix is fine-tuned once, in a run of its own that all of equal settings share."""

from typing import Any

import pytest

from conftest import TRANSFER, tiny_transfer
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.experiment.lineage import in_one_process, make_lineage_definite
from pointlab.experiment.resolve import FINE_TUNED, Findings, Resolved, make_definite
from pointlab.experiment.search.trial_runs import make_in_turn, runs_of_trial
from pointlab.storage import Storage
from pointlab.storage.lease import Fence
from pointlab.study import EARLIER_TRANSFER, PRETRAINING, Extent, Failure, Ledger, foresee
from pointlab.study.planning import Plan, make_plan
from tiny_study import tiny_study

PROTOCOLS = {
    "mixed": {"protocol": "wise_ft", "mixture": {"coefficients": [0.0, 1.0]}},
    "full": {"protocol": "full"},
    "probed": {"protocol": "wise_ft_lp", "probe": {"penalties": [0.1]}},
}
OF_MIXTURES: dict[str, Any] = {"protocols": PROTOCOLS, "exclude": [{"protocol": "probe"}]}


def mixture_of(**changes: Any) -> TransferExperiment:
    experiment: TransferExperiment = validate(TransferExperiment, merge(TRANSFER, changes), "test")
    return experiment


def lineage(experiment: TransferExperiment) -> list[str]:
    """The runs that it takes, its own last, its datasets told apart by their recipes alone."""
    sets = {role: f"set-{config.recipe()}" for role, config in experiment.datasets.items()}
    return [resolved.run for resolved in make_lineage_definite(experiment, sets)]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"protocol": "wise_ft"},
        {"mixture": {"coefficients": [0.5]}},
        {"probe": {"max_iterations": 7}},
    ],
)
def test_transfers_that_differ_in_the_mixture_alone_share_a_fine_tuning(changes: dict[str, Any]) -> None:
    one, other = lineage(mixture_of()), lineage(mixture_of(**changes))
    assert one[-2] == other[-2]
    assert one[-1] != other[-1]


@pytest.mark.parametrize("changes", [{"training": {"epochs": 1}}, {"test": False}, {"seed": 1}])
def test_what_is_trained_otherwise_is_fine_tuned_for_itself(changes: dict[str, Any]) -> None:
    assert lineage(mixture_of())[-2] != lineage(mixture_of(**changes))[-2]


def test_a_fine_tuning_is_the_run_of_a_full_transfer_of_its_name() -> None:
    """Whatever a mixture is told of mixing; and how the one is called does not count for the other."""
    settings = {key: value for key, value in TRANSFER.items() if key != "mixture"}
    full = validate(TransferExperiment, settings | {"name": "by-hand", "protocol": "full"}, "test")
    named = mixture_of(fine_tuned_name="by-hand")
    assert lineage(named)[-2] == lineage(full)[-1]
    assert lineage(named)[-1] == lineage(mixture_of())[-1]


def test_a_name_for_a_fine_tuning_that_nothing_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match="fine_tuned_name is mine, but protocol full mixes nothing"):
        mixture_of(protocol="full", fine_tuned_name="mine")


def test_a_fine_tuning_runs_and_is_stored_where_its_mixture_is() -> None:
    on_ray = mixture_of(launch={"kind": "ray", "num_workers": 2}, storage={"root": "/elsewhere"})
    for experiment in (on_ray, in_one_process(on_ray)):
        fine_tuning = experiment.parents[FINE_TUNED]
        assert (fine_tuning.launch, fine_tuning.storage) == (experiment.launch, experiment.storage)


def test_its_sets_are_those_of_its_mixture_and_are_listed_once(storage: Storage) -> None:
    mixture = tiny_transfer(storage)
    assert set(mixture.datasets) == {"data", "shifted", "pretrained"}
    assert mixture.fine_tuning is not None
    assert mixture.fine_tuning.datasets == mixture.datasets


def plan_of(storage: Storage, **changes: Any) -> Plan:
    study = tiny_study(storage, **merge(OF_MIXTURES, changes))
    sets = {role: f"{config.name}-{config.recipe()}" for role, config in study.datasets.items()}
    return make_plan(study, sets, storage)


def test_in_a_study_the_cell_of_full_fine_tuning_is_what_its_mixtures_mix(storage: Storage) -> None:
    plan = plan_of(storage, seeds=[0, 1])
    assert len(plan.cells) == 2 * 2 * 3
    assert len(plan.steps) == len(plan.cells) + 2  # the pretrainings
    for run, cell in plan.cells.items():
        parents, place = plan.steps[run].resolved.parents, (cell.levels.start, cell.levels.seed)
        if cell.levels.protocol != "full":
            full = plan.cells[parents[FINE_TUNED]]
            assert (full.levels.protocol, full.levels.start, full.levels.seed) == ("full", *place)
    runs = list(plan.steps)
    assert all(runs.index(parent) < at for at, run in enumerate(runs) for parent in plan.steps[run].parents)


def test_every_ingredient_that_is_a_cell_of_a_study_is_made_once(storage: Storage) -> None:
    faster = {"training": {"optimiser": {"learning_rate": 3e-3}}}
    ingredients = [{}, {"training.optimiser.learning_rate": 3e-3}]
    protocols = {
        "full": {"protocol": "full"},
        "faster": {"protocol": "full", **faster},
        "soup": {"protocol": "soup", "soup": {"ingredients": ingredients}},
    }
    study = tiny_study(storage, protocols=protocols, exclude=[{"protocol": "probe"}])
    sets = {role: f"{config.name}-{config.recipe()}" for role, config in study.datasets.items()}
    plan = make_plan(study, sets, storage)
    assert len(plan.steps) == len(plan.cells) + 1  # the pretraining
    assert len(plan.cells) == 2 * 3


@pytest.mark.parametrize("voters", [("mixed", "probed"), ("mixed", "full", "probed"), ("full",)])
def test_a_mixture_that_votes_needs_no_fine_tuning_of_its_own(
    storage: Storage, voters: tuple[str, ...]
) -> None:
    """A fine-tuning votes only where it is a cell that does; one that alone votes is trained for itself."""
    votes = {name: {"voting": {"votes": 3}} for name in voters}
    plan = plan_of(storage, protocols=votes)
    own_fine_tunings = 2 if voters == ("full",) else 0
    assert len(plan.steps) == len(plan.cells) + 1 + own_fine_tunings
    assert mixture_of(voting={"votes": 3}).parents[FINE_TUNED].voting is None


def test_names_of_fine_tunings_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigError, match="fine_tuned_name names ingredient-0"):
        mixture_of(fine_tuned_name={"ingredient-0": "mine"})


def test_a_full_cell_is_the_same_run_with_mixtures_beside_it_and_without(storage: Storage) -> None:
    alone = plan_of(storage, only=[{"protocol": "full"}])
    full = {run for run, cell in plan_of(storage).cells.items() if cell.levels.protocol == "full"}
    assert full == set(alone.cells)


def test_without_such_a_cell_mixtures_share_one_fine_tuning_for_each_start(storage: Storage) -> None:
    without = {"exclude": [{"protocol": ["probe", "full"]}]}
    plan = plan_of(storage, **without)
    assert len(plan.cells) == 2 * 2
    shared = {run for run in plan.steps if run.startswith("fine-tuned-patch-transformer-on-scans-")}
    assert len(shared) == 2
    study = tiny_study(storage, **merge(OF_MIXTURES, without))
    of_a_cell = {"mixed": Extent(1, 0), "probed": Extent(1, 0), EARLIER_TRANSFER: Extent(1, 0)}
    assert foresee(study, storage) == {
        ("scratch", "patches"): of_a_cell,
        ("supervised", "patches"): {PRETRAINING: Extent(1, 0), **of_a_cell},
    }


def test_what_a_failed_fine_tuning_was_for_has_failed_with_it(storage: Storage) -> None:
    ledger = Ledger(plan_of(storage, only=[{"start": "scratch"}, {"protocol": "mixed"}]))
    step = ledger.take()
    assert step is not None
    ledger.note(step, Failure("no luck"))
    told = {ledger.errors[run] for run in ledger.failed_cells if run != step.run}
    assert told == {f"its earlier transfer {step.run} failed: no luck"}


def test_trials_that_differ_in_the_mixture_alone_are_fine_tuned_once(storage: Storage) -> None:
    made: list[str] = []

    def carry_out(resolved: Resolved[TransferExperiment], fence: Fence) -> Findings:
        made.append(resolved.run)
        return Findings({})

    def begin(resolved: Resolved[TransferExperiment]) -> None:
        """Nobody is told."""

    trials = [mixture_of(), mixture_of(mixture={"coefficients": [0.5]})]
    sets = {role: f"set-{config.recipe()}" for role, config in trials[0].datasets.items()}
    records = [
        make_in_turn(runs_of_trial(trial, sets, {"pretrained": "tiny"}), storage, carry_out, begin)
        for trial in trials
    ]
    assert records[0][0] == records[1][0]
    assert len(made) == 3
    own = records[1][-1]
    assert own.run == make_definite(trials[1], sets, {}).run
    assert own.parents == {"pretrained": "tiny", FINE_TUNED: made[0]}
