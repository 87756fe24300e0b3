"""A transfer tells how its classifier stands corruptions of its target, and a mixture can be chosen by it."""

import signal
import threading
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from conftest import tiny_transfer
from pointlab.config import merge, validate
from pointlab.data.corruptions import CorruptionSuite, corrupted
from pointlab.engine.search.conduct import measure_chosen
from pointlab.errors import ConfigError, PreemptedError
from pointlab.experiment import EvaluateExperiment, TransferExperiment
from pointlab.experiment.mistaken import read_mistakes
from pointlab.experiment.resolve import FINE_TUNED, definition
from pointlab.experiment.search.settings import Objective
from pointlab.experiment.transferring import transfer
from pointlab.launch import resolve, run
from pointlab.storage import Record, Storage
from pointlab.training import LocalContext, ignore_progress
from pointlab.transfer.showing import Figures, score_of
from pointlab.transfer.sweep import GRID
from tiny_study import tiny_study

PART = {"name": "modelnet_c", "corruptions": ["scale", "add_local"], "severities": [1, 5]}
CONDITIONS = [(name, severity) for name in ("scale", "add_local") for severity in (1, 5)]
SOUP = {
    "protocol": "soup",
    "soup": {"method": "uniform", "ingredients": [{}, {"training.optimiser.learning_rate": 3e-3}]},
    "mixture": {"coefficients": GRID, "batch_norm": "interpolate"},
}


def corrupted_transfer(storage: Storage, **changes: Any) -> TransferExperiment:
    return tiny_transfer(storage, corruptions=PART, **changes)


def finished(experiment: Any) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


@pytest.mark.parametrize(
    "changes", [{"protocol": "full"}, {"protocol": "linear_svm"}, {"protocol": "wise_ft_lp"}, SOUP]
)
def test_a_transfer_tells_what_an_evaluation_of_its_classifier_tells(
    storage: Storage, changes: dict[str, Any]
) -> None:
    experiment = corrupted_transfer(storage, **changes)
    record = finished(experiment)
    assert "/modelnet_c/part/" in record.protocol
    assert set(experiment.accuracies) <= record.metrics.keys()
    settings = {"kind": "evaluate", "name": "beside", "suite": PART, "storage": {"root": storage.address}}
    settings["classifier"] = experiment.model_dump(mode="json")
    for split, told_of in (("test", ""), ("validation", "validation ")):
        evaluation = merge(settings, {"split": split, "batch_size": experiment.training.batch_size})
        evaluated = finished(validate(EvaluateExperiment, evaluation, "test"))
        assert evaluated.parents["classifier"] == record.run
        expected = {f"corrupted-{name}": value for name, value in evaluated.metrics.items()}
        expected.pop(f"corrupted-{split}/accuracy")
        told = {name: value for name, value in record.metrics.items() if name in expected}
        assert told == expected
        for note in ("suite hash", "content hash"):
            assert record.notes[f"{told_of}{note}"] == evaluated.notes[note]
        assert {"origin", "baseline", "comparability"} <= record.notes.keys()


def test_without_its_test_a_transfer_shows_the_classifier_validation_clouds_alone(storage: Storage) -> None:
    record = finished(corrupted_transfer(storage, protocol="linear_probe", test=False))
    assert "corrupted-validation/mOA" in record.metrics
    assert not any("test" in name for name in record.metrics)
    assert "suite hash" not in record.notes


@pytest.mark.parametrize("protocol", ["full", "linear_probe", "lp_ft"])
def test_every_classifier_tells_how_it_stands_the_shifted_set_on_validation(
    storage: Storage, protocol: str
) -> None:
    head = {"supervised": {"head": {"kind": "linear"}}} if protocol == "lp_ft" else {}
    experiment = tiny_transfer(storage, protocol=protocol, **head)
    assert "shifted-validation/accuracy" in experiment.accuracies
    assert 0 <= finished(experiment).metrics["shifted-validation/accuracy"] <= 1


def test_a_sweep_measures_every_mixture_under_the_suite_and_chooses_by_it(storage: Storage) -> None:
    record = finished(corrupted_transfer(storage, mixture={"selection": "corrupted"}))
    own = [row for row in record.curves["coefficients"] if row["method"] == "wise_ft_lp"]
    best = max(own, key=lambda row: (row["corrupted-validation/accuracy"], row["coefficient"]))
    assert record.metrics["selection/coefficient"] == best["coefficient"]
    assert record.metrics["selection/score"] == best["corrupted-validation/accuracy"]
    assert record.metrics["corrupted-validation/mOA"] == pytest.approx(best["corrupted-validation/accuracy"])
    by_condition = [
        record.metrics[f"corrupted-validation/{name}/{severity}/accuracy"] for name, severity in CONDITIONS
    ]
    assert fmean(by_condition) == pytest.approx(record.metrics["corrupted-validation/mOA"])
    assert float(best["corrupted-validation/loss"]) > 0


def test_the_mean_is_over_all_roles_that_there_are() -> None:
    figures = {"target": Figures(0.9, 1.0), "shifted": Figures(0.6, 1.0), "corrupted": Figures(0.3, 1.0)}
    assert score_of(figures, "mean") == pytest.approx(0.6)
    assert score_of(figures, "corrupted") == 0.3
    figures.pop("shifted")
    assert score_of(figures, "mean") == pytest.approx(0.6)
    assert score_of({"target": figures["target"]}, "mean") == 0.9


def test_a_record_says_over_what_the_mean_is_that_chose(storage: Storage) -> None:
    both = finished(corrupted_transfer(storage, test=False))
    assert "highest mean validation accuracy of target, shifted, corrupted;" in both.notes["selection rule"]
    rows = [row for row in both.curves["coefficients"] if row["method"] == "wise_ft_lp"]
    roles = ("target", "shifted", "corrupted")
    means = [fmean(float(row[f"{role}-validation/accuracy"]) for role in roles) for row in rows]
    assert both.metrics["selection/score"] == pytest.approx(max(means))


def test_clouds_are_corrupted_once_for_all_coefficients(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second time for the classifier that is chosen; counted where they are made."""
    made: list[tuple[str, int]] = []
    make = corrupted.corrupt

    def counted(points: Any, suite: CorruptionSuite, condition: Any, **settings: Any) -> Any:
        made.append(condition)
        return make(points, suite, condition, **settings)

    few = resolve(corrupted_transfer(storage, mixture={"coefficients": [0.5]}, test=False), storage)
    many = resolve(
        corrupted_transfer(storage, mixture={"coefficients": [0.2, 0.5, 0.8]}, test=False), storage
    )
    for name, experiment in (("few", few.experiment), ("many", many.experiment)):
        run(experiment.fine_tuning)
        monkeypatch.setattr(corrupted, "corrupt", counted)
        made.clear()
        record = finished(experiment.model_copy(update={"name": name}))
        num_clouds = len(made) / len(CONDITIONS)
        assert num_clouds == 2 * 16, "one validation cloud of each class, twice"
        assert {float(row["coefficient"]) for row in record.curves["coefficients"]} == set(
            experiment.mixture.coefficients
        )
        monkeypatch.undo()


def test_a_sweep_ends_when_it_is_asked_to_and_can_be_made_anew(storage: Storage) -> None:
    experiment, stop, seen = corrupted_transfer(storage), threading.Event(), list[str]()
    resolved = resolve(experiment, storage)
    assert experiment.fine_tuning is not None
    fine_tuned = finished(experiment.fine_tuning).run
    assert resolved.parents[FINE_TUNED] == fine_tuned

    def ending(stage: str, done: int, total: int, figures: Any) -> None:
        seen.append(f"{stage.removeprefix(resolved.run).strip()} {done}/{total}")
        stop.set()

    with pytest.raises(PreemptedError, match="run the same command again"):
        transfer(resolved, LocalContext(storage, ending, stop=stop))
    assert seen == ["under corruptions 1/4"]
    assert transfer(resolved, LocalContext(storage)).metrics["corrupted-test/mOA"] >= 0


def test_a_fine_tuning_is_measured_as_its_mixture_is_so_that_a_protocol_full_is_the_same_run(
    storage: Storage,
) -> None:
    plain = {"mixture": {"coefficients": GRID}}
    mixed, full = (corrupted_transfer(storage, protocol=name, **plain) for name in ("wise_ft", "full"))
    assert mixed.fine_tuning is not None
    one, other = (definition(each, lambda data: data.recipe()) for each in (mixed.fine_tuning, full))
    assert one == other
    assert "corrupted-validation/mOA" in finished(mixed.fine_tuning).metrics


def test_transfers_without_corruptions_keep_their_identity(storage: Storage) -> None:
    plain, with_some = tiny_transfer(storage), corrupted_transfer(storage)
    assert "corruptions" not in definition(plain, lambda data: data.recipe())
    assert "corruptions" in definition(with_some, lambda data: data.recipe())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corruptions": {"name": "modelnet_c", "origin": "official"}}, "kind: evaluate"),
        ({"corruptions": PART, "protocol": "few_shot"}, "leaves no classifier to measure"),
        ({"corruptions": PART, "task": "segmentation", "protocol": "full"}, "corruptions is set, but task"),
        ({"corruptions": PART, "data": {"normalise": "none"}}, "radii of the unit sphere"),
        ({"corruptions": {"name": "modelnet40_c"}}, "density_inc picks 48 points from 96"),
        (
            {"corruptions": PART, "pretrained": {"backbone": {"kind": "sparse_unet", "colours": True}}},
            "no colours, which the backbone reads",
        ),
        ({"mixture": {"selection": "corrupted"}}, "no corruptions are given"),
    ],
)
def test_what_cannot_be_measured_is_refused_when_it_is_written(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_transfer(storage, **changes)


def test_a_study_compares_by_the_mean_under_corruptions_and_lists_no_single_one(storage: Storage) -> None:
    study = tiny_study(
        storage, measure="corrupted-test/mOA", routes={"to-scans": {"transfer": {"corruptions": PART}}}
    )
    record = finished(study)
    cells = record.curves["cells"]
    assert {row["outcome"] for row in cells} == {"finished"}
    of_cells = {name for name in cells[0] if name.startswith("corrupted-")}
    assert of_cells == {"corrupted-validation/mOA", "corrupted-test/mOA"}
    gains = [row for row in record.curves["comparison"] if row["start"] == "supervised"]
    of_start = {row["start"]: float(row["corrupted-test/mOA"]) for row in cells}
    assert gains[0]["mean"] == pytest.approx(of_start["supervised"])


def test_a_study_by_corruptions_that_some_cell_lacks_is_refused(storage: Storage) -> None:
    with pytest.raises(
        ConfigError, match=r"measure is 'corrupted-test/mOA', which the cell .* will not have"
    ):
        tiny_study(storage, measure="corrupted-test/mOA")


def test_a_search_may_choose_by_corrupted_validation_and_not_by_corrupted_test() -> None:
    assert Objective(metric="corrupted-validation/mOA").direction == "maximise"
    with pytest.raises(ValueError, match="such as corrupted-validation/mOA"):
        Objective(metric="corrupted-test/mOA")


def test_clouds_that_are_too_small_for_the_network_repeat_points_and_are_counted(storage: Storage) -> None:
    """dropout_global leaves a quarter of 48 points at its worst, and the network takes 16."""
    suite = {"name": "modelnet_c", "corruptions": ["dropout_global"], "severities": [1, 5]}
    experiment = tiny_transfer(storage, corruptions=suite, protocol="linear_probe", num_groups=16, test=False)
    record = finished(experiment)
    assert record.notes["validation few points"] == (
        "16 of 32 corrupted clouds have fewer than the 16 points that the network takes, and repeat them"
    )


def test_the_test_of_a_search_shows_how_far_it_is_and_ends_when_it_is_asked_to(storage: Storage) -> None:
    """Under the search's name, whose mistakes are then its own; nothing is known of it before its end."""
    experiment = corrupted_transfer(storage, protocol="linear_svm", test=False)
    best = replace(resolve(experiment, storage), run=finished(experiment).run)
    told: list[str] = []

    def terminating(stage: str, done: int, total: int, _: Any) -> None:
        told.append(f"{stage}: {done} of {total}")
        if done == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(PreemptedError, match="the-search was asked to end"):
        measure_chosen("the-search", best, storage, terminating)
    places = [f"the-search under corruptions of test: {done} of 4" for done in (0, 1)]
    assert told[: len(places)] == places
    found = measure_chosen("the-search", best, storage, ignore_progress)
    assert "corrupted-test/mOA" in found.metrics
    kept = [read_mistakes(storage, name) for name in ("the-search", best.run)]
    assert [each.told.split for each in kept if each is not None] == ["test", "validation"]
