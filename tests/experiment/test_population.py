"""Population-based training: who goes on from whom, with what settings, whatever happens in between."""

from typing import Any

import pytest

from pointlab.config import merge
from pointlab.errors import ConfigError
from pointlab.experiment.search import SearchExperiment, make_trial
from pointlab.experiment.search.findings import chosen, curves_of
from pointlab.experiment.search.settings import SCORE
from pointlab.experiment.search.trial_queue import TrialQueue
from pointlab.experiment.search.trials import Trial, TrialLedger
from pointlab.storage import Storage, open_storage
from tiny_search import RATE, tiny_search

DECAY, ROTATION = "training.optimiser.weight_decay", "augmentation.rotation"
SPACE: dict[str, Any] = {
    RATE: {"kind": "log_uniform", "low": 1e-4, "high": 1e-2},
    DECAY: {"kind": "uniform", "low": 0.0, "high": 0.3},
    ROTATION: {"kind": "choice", "values": ["none", "vertical", "full"]},
}
BOUNDS = {path: (SPACE[path]["low"], SPACE[path]["high"]) for path in (RATE, DECAY)}
POPULATION = 6
POPULAR: dict[str, Any] = {
    "sampler": {"kind": "pbt", "population": POPULATION, "interval": 2, "quantile": 0.34},
    "num_trials": None,
    "transfer": {"protocol": "full", "training": {"epochs": 7}},
}
FAILS = "fails"


@pytest.fixture
def store(tmp_path: Any) -> Storage:
    """An empty one."""
    return open_storage(str(tmp_path))


def population(**changes: Any) -> SearchExperiment:
    return tiny_search(**merge({"space": SPACE, **POPULAR}, changes))


def settled(trial: Trial, failing: frozenset[int] = frozenset()) -> Trial:
    """Finished, the better the higher its rate of weight decay has been throughout; or failed."""
    if trial.number in failing:
        return trial.model_copy(update={"outcome": "failed", "error": FAILS})
    score = sum(float(settings[DECAY]) for settings in (*trial.before, trial.settings))
    update = {"outcome": "finished", "figures": {SCORE: score}, "by_epoch": {len(trial.before): score}}
    return trial.model_copy(update={**update, "run": f"r{trial.number}"})


def carried_out(
    queue: TrialQueue, at_a_time: int = 1, most: int = 1000, failing: frozenset[int] = frozenset()
) -> list[Trial]:
    """Settle trials, the latest first, with so many at a time; stop after `most` as a killed search does."""
    open_trials: list[Trial] = []
    for _ in range(most):
        while not queue.is_empty and len(open_trials) < at_a_time and (trial := queue.take()) is not None:
            open_trials.append(trial)
        if not open_trials:
            break
        queue.note(settled(open_trials.pop(), failing))
    return [trial for _, trial in sorted(queue.trials.items())]


def generations(trials: list[Trial]) -> list[list[Trial]]:
    return [trials[first : first + POPULATION] for first in range(0, len(trials), POPULATION)]


def test_the_trials_are_members_times_generations(store: Storage) -> None:
    """Of seven epochs in generations of two the last has three; each leaves off where the next begins."""
    search = population()
    trials = carried_out(TrialQueue(search, TrialLedger(store, "run")))
    assert len(trials) == search.total == POPULATION * 3
    ends = [make_trial(search, each[0].settings, each[0].before).training.end for each in generations(trials)]
    assert ends == [2, 4, 7]
    last = make_trial(search, trials[-1].settings, trials[-1].before)
    assert [change.epoch for change in last.changes] == [2, 4]
    assert last.changes[-1].settings == trials[-1].settings
    assert last.training.optimiser.learning_rate == trials[-1].before[0][RATE]


@pytest.mark.parametrize("at_a_time", [2, 5, 24])
def test_members_do_not_depend_on_how_many_train_at_a_time(store: Storage, at_a_time: int) -> None:
    search = population()
    alone = carried_out(TrialQueue(search, TrialLedger(store, "alone")))
    assert carried_out(TrialQueue(search, TrialLedger(store, "together")), at_a_time) == alone


@pytest.mark.parametrize("most", [1, POPULATION, 2 * POPULATION + 1])
def test_a_killed_population_goes_on_as_an_undisturbed_one(store: Storage, most: int) -> None:
    search = population()
    undisturbed = carried_out(TrialQueue(search, TrialLedger(store, "undisturbed")))
    carried_out(TrialQueue(search, TrialLedger(store, "killed")), 2, most)
    assert carried_out(TrialQueue(search, TrialLedger(store, "killed")), 3) == undisturbed


def test_the_worst_go_on_from_the_best_and_all_others_from_themselves(store: Storage) -> None:
    trials = carried_out(TrialQueue(population(), TrialLedger(store, "run")))
    for before, now in zip(generations(trials), generations(trials)[1:], strict=False):
        ranking = sorted(before, key=lambda trial: -trial.figures[SCORE])
        best, worst = ({trial.number for trial in part} for part in (ranking[:2], ranking[-2:]))
        for own, trial in zip(before, now, strict=True):
            parent = before[trial.parent % POPULATION]  # type: ignore[operator]
            assert trial.before == (*parent.before, parent.settings)
            if own.number in worst:
                assert trial.parent in best
            else:
                assert (trial.parent, trial.settings) == (own.number, own.settings)


@pytest.mark.parametrize("resample", [0.0, 1.0])
def test_who_goes_on_from_another_explores_around_its_settings_or_anywhere(
    store: Storage, resample: float
) -> None:
    """Around: a number times 0.8 or 1.2 within its bounds, a choice as it is."""
    search = population(sampler={"resample": resample})
    trials = carried_out(TrialQueue(search, TrialLedger(store, "run")))
    moved = [
        (trials[trial.parent].settings, trial.settings)
        for trial in trials
        if trial.parent is not None and trial.parent % POPULATION != trial.number % POPULATION
    ]
    assert moved
    is_near = [
        now[path] in {min(max(factor * float(then[path]), low), high) for factor in (0.8, 1.2)}
        for then, now in moved
        for path, (low, high) in BOUNDS.items()
    ]
    assert all(is_near) if resample == 0 else not any(is_near)
    assert all(search.space[path].holds(now[path]) for _, now in moved for path in SPACE)
    assert all(then[ROTATION] == now[ROTATION] for then, now in moved) == (resample == 0)


def test_a_member_that_failed_goes_on_from_one_of_the_best(store: Storage) -> None:
    failing = frozenset({0, 1, 2})
    trials = carried_out(TrialQueue(population(), TrialLedger(store, "run")), failing=failing)
    assert all(trials[POPULATION + member].parent in {3, 4, 5} for member in failing)


def test_a_failure_of_a_past_generation_is_final(store: Storage) -> None:
    """At the next start as well: the one of the latest generation alone is trained again."""
    search, past, latest = population(), 1, POPULATION + 2
    failing = frozenset({past, latest})
    carried_out(TrialQueue(search, TrialLedger(store, "run")), most=2 * POPULATION, failing=failing)
    before = TrialLedger(store, "run").read()
    queue = TrialQueue(search, TrialLedger(store, "run"))
    assert queue.num_waiting == POPULATION + 1
    trials = carried_out(queue)
    assert [trial for trial in trials if trial.outcome == "failed"] == [before[past]]
    assert trials[latest].outcome == "finished"
    assert TrialQueue(search, TrialLedger(store, "run")).is_empty


def test_after_a_generation_that_failed_altogether_members_begin_anew(store: Storage) -> None:
    """And the schedule of the best is told from the beginning, as its run has trained it."""
    search = population()
    failing = frozenset(range(POPULATION, 2 * POPULATION))
    trials = carried_out(TrialQueue(search, TrialLedger(store, "run")), failing=failing)
    third = trials[2 * POPULATION :]
    assert all(trial.parent is None and trial.before == (trial.settings,) * 2 for trial in third)
    schedule = curves_of(search, trials)["schedule"]
    assert [row["epoch"] for row in schedule] == [0, 2, 4]
    assert len({row["trial"] for row in schedule}) == 1


def test_the_best_of_the_last_generation_is_chosen_and_its_schedule_told(store: Storage) -> None:
    """Even if an earlier trial was better: it has not come to the end of training."""
    search = population()
    trials = carried_out(TrialQueue(search, TrialLedger(store, "run")))
    early = trials[1].model_copy(update={"figures": {SCORE: 100.0}})
    best = chosen(search, [trials[0], early, *trials[2:]])
    assert best.number == max(trials[-POPULATION:], key=lambda trial: trial.figures[SCORE]).number
    curves = curves_of(search, trials)
    found = [{path: row[path] for path in SPACE} for row in curves["schedule"]]
    assert found == [*best.before, best.settings]
    assert curves["schedule"][-1]["trial"] == best.number
    assert [row["parent"] for row in curves["trials"]][:POPULATION] == [""] * POPULATION
    assert curves["trials"][-1]["generation"] == 2


def test_the_longest_interval_that_is_proposed_makes_two_generations() -> None:
    assert population(sampler={"interval": 3}).total == 2 * POPULATION


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"transfer": {"protocol": "linear_probe"}}, "protocol linear_probe is not: set transfer.protocol"),
        ({"transfer": {"protocol": "wise_ft"}}, "is not: set transfer.protocol to full"),
        ({"launch": {"num_workers": 2}}, "num_workers is 2, but members of a population train on one worker"),
        (
            {"space": {"supervised.head.kind": {"kind": "choice", "values": ["linear", "mlp2"]}}},
            "cannot chan",
        ),
        ({"num_trials": 12}, "as many trials as members times generations"),
        ({"stopping": {"kind": "asha"}}, "gives up trials itself"),
        ({"objectives": [{"metric": "validation/accuracy"}, {"metric": "validation/loss"}]}, "by one figure"),
        ({"transfer": {"changes": [{"epoch": 1, "settings": {RATE: 1e-3}}]}}, "are what sampler pbt is to"),
        ({"warm_start": ["earlier"]}, "sampler pbt would look at no trial"),
        ({"sampler": {"interval": 4}}, r"less than two generations of 7 epochs.* set it to at most 3"),
        ({"transfer": {"training": {"epochs": 1}}}, "train for two epochs at least"),
    ],
)
def test_what_no_population_could_do_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    space = changes.pop("space", {})
    with pytest.raises(ConfigError, match=said):
        population(**changes, **({"space": space} if space else {}))
