"""What a search has found, from its trials: the table of all, the one that is chosen, the front of several
objectives."""

from collections.abc import Sequence
from typing import Any

from pointlab.experiment.search.experiment import SearchExperiment
from pointlab.experiment.search.pareto import RULE, pareto_front, scaled_means
from pointlab.experiment.search.population import lineage, member_of, pbt_of
from pointlab.experiment.search.settings import Pbt
from pointlab.experiment.search.trials import Cost, Trial

Row = dict[str, float | str]
BEST = "the best figure; the first run by name of equal ones"


def contenders(search: SearchExperiment, trials: Sequence[Trial]) -> list[Trial]:
    """The trials of which one is chosen: all that finished, of a population those of its last generation."""
    finished = [trial for trial in trials if trial.outcome == "finished"]
    if not isinstance(search.sampler, Pbt):
        return finished
    return [trial for trial in finished if trial.number >= search.total - search.sampler.population]


def ranked(search: SearchExperiment, finished: Sequence[Trial]) -> list[float]:
    """How good each finished trial is in one number: its objective, or the scaled mean of several."""
    gains = [_gains(search, trial) for trial in finished]
    if len(search.objectives) == 1:
        return [only for (only,) in gains]
    return scaled_means(gains)


def chosen(search: SearchExperiment, trials: Sequence[Trial]) -> Trial:
    """The best of the contenders; of several objectives the recommended one of the front."""
    finished = contenders(search, trials)
    if len(search.objectives) == 1:
        scores = ranked(search, finished)
        return min(zip(scores, finished, strict=True), key=lambda each: (-each[0], each[1].run))[1]
    gains = [_gains(search, trial) for trial in finished]
    front, means = pareto_front(gains), ranked(search, finished)
    return finished[min(front, key=lambda place: (-means[place], finished[place].number))]


def curves_of(search: SearchExperiment, trials: Sequence[Trial]) -> dict[str, list[Row]]:
    """The table `trials`, and with several objectives `pareto`, a row for each trial of the front."""
    finished = [trial for trial in trials if trial.outcome == "finished"]
    scores = dict(zip((trial.number for trial in finished), ranked(search, finished), strict=True))
    found = {"trials": [_row(search, trial, scores) for trial in trials]}
    if search.sampler.kind == "pbt":
        found["schedule"] = _schedule(search, trials, chosen(search, finished))
    if len(search.objectives) > 1:
        front = pareto_front([_gains(search, trial) for trial in finished])
        best = chosen(search, finished)
        found["pareto"] = [_point(search, finished[place], best) for place in front]
    return found


def notes_of(search: SearchExperiment, trial: Trial) -> dict[str, str]:
    """Which trial was chosen, by what rule, and what was searched, as it had it, as `--set` takes it."""
    is_one = len(search.objectives) == 1
    goals = ", ".join(f"{each.metric} ({each.direction}d)" for each in search.objectives)
    return {
        "chosen trial": trial.run,
        "chosen settings": " ".join(f"{path}={trial.settings[path]}" for path in search.space),
        "objectives": goals,
        "recommendation": BEST if is_one else RULE,
    }


def note_of_failures(trials: Sequence[Trial]) -> dict[str, str]:
    """How many trials failed, and what the first of them said; nothing where none did."""
    errors = [trial.error for trial in trials if trial.outcome == "failed"]
    return {"failed trials": f"{len(errors)}, first error: {errors[0]}"} if errors else {}


def total_cost(trials: Sequence[Trial]) -> Cost:
    """What all trials took: a run that several share counts once."""
    runs: dict[str, Cost] = {}
    for trial in trials:
        for run, cost in trial.costs.items():
            runs[run] = max(cost, runs.get(run, cost), key=lambda each: each.samples)
    return Cost(sum(cost.samples for cost in runs.values()), sum(cost.seconds for cost in runs.values()))


def _gains(search: SearchExperiment, trial: Trial) -> tuple[float, ...]:
    return tuple(objective.gain(trial.figures[objective.metric]) for objective in search.objectives)


def _row(search: SearchExperiment, trial: Trial, scores: dict[int, float]) -> Row:
    coefficient: float | str = "" if trial.coefficient is None else trial.coefficient
    place: Row = {}
    if search.sampler.kind == "pbt":
        parent: float | str = "" if trial.parent is None else trial.parent
        place = {"generation": len(trial.before), "member": member_of(search, trial), "parent": parent}
        place["compared"] = _last(search, trial)
    return {
        "trial": trial.number,
        **place,
        **trial.settings,
        **(_figures(search, trial) if len(search.objectives) > 1 else {}),
        "score": _score(search, trial, scores),
        "coefficient": coefficient,
        "epochs": trial.epochs,
        "samples": sum(cost.samples for cost in trial.costs.values()),
        "seconds": sum(cost.seconds for cost in trial.costs.values()),
        "outcome": trial.outcome,
        "run": trial.run if trial.outcome == "finished" else "",
    }


def _schedule(search: SearchExperiment, trials: Sequence[Trial], best: Trial) -> list[Row]:
    """What the best member was trained with, generation by generation, whoever trained it then."""
    steps = lineage({trial.number: trial for trial in trials}, best)
    settings = (*best.before, best.settings)
    trained_by = [steps[0]] * (len(settings) - len(steps)) + steps  # one that began anew made up for others
    return [
        {
            "epoch": pbt_of(search).interval * generation,
            "trial": trial.number,
            "member": member_of(search, trial),
            **own,
        }
        for generation, (own, trial) in enumerate(zip(settings, trained_by, strict=True))
    ]


def _score(search: SearchExperiment, trial: Trial, scores: dict[int, float]) -> float | str:
    """The trial's own figure, as its record has it, or the scaled mean of several.

    Of one that was stopped it is what it was compared by; of one that reached no epoch there is none.
    """
    goal = search.objectives[0]
    if trial.number in scores:
        return scores[trial.number] if len(search.objectives) > 1 else trial.figures[goal.metric]
    return _last(search, trial)


def _last(search: SearchExperiment, trial: Trial) -> float | str:
    """What the trial was compared by while it trained, at its last epoch; "" where it reached none."""
    goal = search.objectives[0]
    if not trial.by_epoch:
        return ""
    last = trial.by_epoch[max(trial.by_epoch)]
    return goal.gain(last) if goal.metric.startswith("validation/") else last


def _figures(search: SearchExperiment, trial: Trial) -> dict[str, Any]:
    return {each.metric: trial.figures.get(each.metric, "") for each in search.objectives}


def _point(search: SearchExperiment, trial: Trial, best: Trial) -> Row:
    return {
        "trial": trial.number,
        **_figures(search, trial),
        **trial.settings,
        "recommended": "yes" if trial is best else "",
        "run": trial.run,
    }
