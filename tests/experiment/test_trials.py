"""The ledger and what is proposed: a search that is killed proposes what it would have proposed."""

import math
from itertools import product
from typing import Any

import pytest

from pointlab.errors import ConfigError, DamagedError, LeaseError, StorageError
from pointlab.experiment.search import SearchExperiment
from pointlab.experiment.search.sampling import propose
from pointlab.experiment.search.settings import SCORE
from pointlab.experiment.search.trial_queue import TrialQueue
from pointlab.experiment.search.trial_runs import clear_begun, note_begun
from pointlab.experiment.search.trials import Cost, Trial, TrialLedger
from pointlab.experiment.search.warm_start import earlier_trials
from pointlab.storage import Storage, open_storage
from pointlab.storage.lease import hold
from tiny_search import RATE, tiny_search

SPACE = {
    RATE: {"kind": "log_uniform", "low": 1e-4, "high": 1e-2, "steps": 3},
    "training.optimiser.layer_decay": {"kind": "uniform", "low": 0.5, "high": 1.0, "steps": 2},
    "supervised.head.kind": {"kind": "choice", "values": ["linear", "mlp2"]},
}
SAMPLERS: dict[str, dict[str, Any]] = {
    "random": {"sampler": {"kind": "random"}},
    "grid": {"sampler": {"kind": "grid"}},
    "tpe": {"sampler": {"kind": "tpe", "batch": 3, "startup": 3}},
    "nsga2": {"sampler": {"kind": "nsga2", "batch": 3}},
}


@pytest.fixture
def store(tmp_path: Any) -> Storage:
    """An empty one."""
    return open_storage(str(tmp_path))


def searched(**changes: Any) -> SearchExperiment:
    return tiny_search(space=SPACE, **{"num_trials": 12, **changes})


def scored(trial: Trial) -> Trial:
    """Finished, the better the nearer its rate is to 1e-3."""
    score = -abs(math.log10(float(trial.settings[RATE])) + 3)
    return trial.model_copy(
        update={"outcome": "finished", "figures": {SCORE: score}, "run": f"r{trial.number}"}
    )


def carried_out(queue: TrialQueue, at_a_time: int, most: int = 1000) -> list[Trial]:
    """Settle trials, the latest first, with so many at a time; stop after `most` as a killed search does."""
    open_trials: list[Trial] = []
    for _ in range(most):
        while not queue.is_empty and len(open_trials) < at_a_time and (trial := queue.take()) is not None:
            open_trials.append(trial)
        if not open_trials:
            break
        queue.note(scored(open_trials.pop()))
    return [trial for _, trial in sorted(queue.trials.items())]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_proposals_do_not_depend_on_how_many_trials_run_at_a_time(kind: str, store: Storage) -> None:
    search = searched(**SAMPLERS[kind])
    alone = carried_out(TrialQueue(search, TrialLedger(store, "alone")), 1)
    together = carried_out(TrialQueue(search, TrialLedger(store, "together")), 5)
    assert len(alone) == 12
    assert alone == together


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("most", [1, 4, 7])
def test_a_killed_search_ends_with_the_trials_of_an_undisturbed_one(
    kind: str, most: int, store: Storage
) -> None:
    search = searched(**SAMPLERS[kind])
    undisturbed = carried_out(TrialQueue(search, TrialLedger(store, "undisturbed")), 2)
    carried_out(TrialQueue(search, TrialLedger(store, "killed")), 2, most)
    queue = TrialQueue(search, TrialLedger(store, "killed"))
    assert queue.num_over == most
    assert queue.num_waiting == 12 - most
    assert carried_out(queue, 2) == undisturbed
    assert list(TrialLedger(store, "killed").read().values()) == undisturbed


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_what_learns_comes_nearer_to_the_best(kind: str, store: Storage) -> None:
    search = searched(**SAMPLERS[kind], num_trials=30)
    trials = carried_out(TrialQueue(search, TrialLedger(store, "learns")), 1)
    first, last = trials[:6], trials[-6:]
    assert sum(t.figures[SCORE] for t in last) > sum(t.figures[SCORE] for t in first)


def test_what_was_stopped_early_is_told_in_the_direction_of_its_objective() -> None:
    """Of trials that were all stopped, TPE goes to where the gains were large, whichever way is better."""
    rates = [10 ** (-4 + 2 * share / 19) for share in range(20)]
    stopped = {
        number: Trial(
            number=number, settings={RATE: rate}, outcome="stopped early", by_epoch={1: -math.log10(rate)}
        )
        for number, rate in enumerate(rates)
    }
    for direction in ("maximise", "minimise"):
        search = tiny_search(
            num_trials=60,
            sampler={"kind": "tpe", "batch": 20, "startup": 3},
            objectives=[{"metric": "validation/loss", "direction": direction}],
        )
        proposals = [propose(search, number, stopped) for number in range(20, 25)]
        asked = [float(each.settings[RATE]) for each in proposals if each is not None]
        assert sum(rate < 1e-3 for rate in asked) >= 4


def test_a_search_that_was_taken_over_notes_nothing(store: Storage) -> None:
    with hold(store, "runs/taken/lease", "the first", wait=False) as lease:
        ledger = TrialLedger(store, "taken", lease.fence)
        ledger.write(Trial(number=0, settings={RATE: 1e-3}))
    with (
        hold(store, "runs/taken/lease", "the second", wait=False),
        pytest.raises(LeaseError, match="taken over"),
    ):
        ledger.write(Trial(number=1, settings={RATE: 1e-3}))
    assert list(TrialLedger(store, "taken").read()) == [0]


def test_only_what_a_search_has_begun_itself_is_cleared(store: Storage) -> None:
    checkpoint = "checkpoints/step-00000001/weights"
    store.write(f"runs/found/{checkpoint}", b"of somebody else")
    for run in ("found", "own", "other", "resumed"):
        note_begun(store, run, "other-search" if run == "other" else "search")
        store.write(f"runs/{run}/{checkpoint}", b"weights")
    store.write("runs/resumed/config.yaml", b"somebody goes on with it")
    note_begun(store, "own", "another-search")  # too late
    for run in ("found", "own", "other", "resumed"):
        clear_begun(store, run, "search")
    kept = {run for run in store.folders("runs") if "checkpoints" in store.folders(f"runs/{run}")}
    assert kept == {"found", "other", "resumed"}


def test_what_somebody_is_at_is_not_cleared(store: Storage) -> None:
    note_begun(store, "own", "search")
    store.write("runs/own/checkpoints/step-00000001/weights", b"weights")
    with hold(store, "runs/own/lease", "at it", wait=False):
        clear_begun(store, "own", "search")
    assert "checkpoints" in store.folders("runs/own")


def test_a_grid_is_every_combination_once_in_an_order_of_the_seed() -> None:
    searches = [searched(**SAMPLERS["grid"], num_trials=None, seed=seed) for seed in (0, 1)]
    orders = [[propose(each, number, {}) for number in range(each.total)] for each in searches]
    tried = [tuple(proposal.settings.values()) for proposal in orders[0] if proposal is not None]
    rates = (1e-4, pytest.approx(1e-3), 1e-2)
    assert len(tried) == 12
    assert all(tried.count(point) == 1 for point in product(rates, (0.5, 1.0), ("linear", "mlp2")))
    assert orders[0] != orders[1]


def test_random_trials_fill_their_ranges() -> None:
    search = searched(**SAMPLERS["random"], num_trials=200)
    tried = [proposal.settings for n in range(200) if (proposal := propose(search, n, {})) is not None]
    exponents = [math.log10(float(settings[RATE])) for settings in tried]
    assert all(-4 <= exponent <= -2 for exponent in exponents)
    assert sum(exponents) / 200 == pytest.approx(-3, abs=0.15)  # uniform in logarithms: 3.7 deviations
    assert 60 < sum(settings["supervised.head.kind"] == "mlp2" for settings in tried) < 140


def test_a_batch_waits_for_the_one_before_it(store: Storage) -> None:
    queue = TrialQueue(searched(**SAMPLERS["tpe"]), TrialLedger(store, "batches"))
    taken = [queue.take() for _ in range(4)]
    first = taken[0]
    assert first is not None
    assert taken[3] is None
    for trial in taken[:3]:
        assert queue.take() is None
        assert trial is not None
        queue.note(scored(trial))
    assert queue.take() is not None


def test_without_batches_nothing_waits(store: Storage) -> None:
    search = searched(sampler={"kind": "tpe", "batch": None, "startup": 3})
    queue = TrialQueue(search, TrialLedger(store, "at-once"))
    taken = [queue.take() for _ in range(12)]
    assert len({trial.number for trial in taken if trial is not None}) == 12


def test_a_trial_is_noted_before_it_starts_and_when_it_is_over(store: Storage) -> None:
    ledger = TrialLedger(store, "noted")
    queue = TrialQueue(searched(**SAMPLERS["random"]), ledger)
    trial = queue.take()
    assert trial is not None
    assert ledger.read() == {0: trial}
    costs = {"run": Cost(64, 1.25)}
    over = scored(trial).model_copy(update={"costs": costs, "by_epoch": {1: 0.1, 2: 1 / 3}})
    queue.note(over)
    assert ledger.read() == {0: over}


def test_a_failed_trial_is_run_once_more_at_every_start(store: Storage) -> None:
    search, ledger = searched(**SAMPLERS["tpe"]), TrialLedger(store, "failed")
    queue = TrialQueue(search, ledger)
    trial = queue.take()
    assert trial is not None
    queue.note(trial.model_copy(update={"outcome": "failed", "error": "no space"}))
    assert queue.take() != trial  # not in the same start
    again = TrialQueue(search, ledger)
    assert again.take() == trial


def test_a_note_that_was_lost_is_proposed_again(store: Storage) -> None:
    search, ledger = searched(**SAMPLERS["random"]), TrialLedger(store, "lost")
    trials = carried_out(TrialQueue(search, ledger), 2)
    store.delete_file(f"{ledger.folder}/00004.json")
    assert carried_out(TrialQueue(search, ledger), 2) == trials


def test_a_damaged_note_is_named(store: Storage) -> None:
    ledger = TrialLedger(store, "damaged")
    store.write(f"{ledger.folder}/00000.json", b'{"number": 0, "sett')
    with pytest.raises(DamagedError, match=r"damaged/trials/00000\.json"):
        ledger.read()


def test_a_warm_start_tells_what_lies_in_the_space_and_counts_the_rest(store: Storage) -> None:
    ledger = TrialLedger(store, "before")
    before = carried_out(TrialQueue(searched(**SAMPLERS["random"]), ledger), 1)
    ledger.write(before[0].model_copy(update={"settings": {**before[0].settings, RATE: 0.5}}))
    ledger.write(before[1].model_copy(update={"outcome": "stopped early", "figures": {}}))
    after = searched(sampler={"kind": "tpe", "batch": 3, "startup": 3}, warm_start=["before"])
    told, num_others = earlier_trials(after, store)
    assert ([trial.number for trial in told], num_others) == (list(range(2, 12)), 1)
    cold = propose(after, 0, {})
    warm = propose(after, 0, {}, told)
    assert cold is not None
    assert warm is not None
    assert cold.settings != warm.settings  # beyond its startup at once


def test_a_warm_start_that_nobody_reads_or_has_is_refused(store: Storage) -> None:
    for kind in ("random", "grid", "nsga2"):
        with pytest.raises(ConfigError, match=f"sampler {kind} would look at no trial"):
            searched(**SAMPLERS[kind], warm_start=["before"])
    with pytest.raises(StorageError, match="no run 'nothing'"):
        earlier_trials(searched(warm_start=["nothing"]), store)
