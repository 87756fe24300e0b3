"""A study is its cells: each an ordinary run, made once, and compared with the baseline at the same seed."""

from typing import Any

import pytest

from conftest import BACKBONE, SCANS, SHAPES, TRAINING
from pointlab import launch
from pointlab.config import merge, validate
from pointlab.errors import ConfigError, PreemptedError, TrainingError
from pointlab.experiment import StudyExperiment
from pointlab.report import build_report
from pointlab.storage import Record, Storage, read_record
from pointlab.study import Extent, Ledger, foresee
from pointlab.study.planning import make_plan

STUDY: dict[str, Any] = {
    "kind": "study",
    "name": "tiny",
    "seeds": [0],
    "pretraining": {"training": {**TRAINING, "epochs": 1}},
    "starts": {"scratch": None, "supervised": {"paradigm": {"kind": "supervised"}}},
    "backbones": {"patches": BACKBONE},
    "routes": {
        "to-scans": {
            "pretrain": {"data": SHAPES, "num_points": 48},
            "transfer": {"data": SCANS, "num_points": 48},
        }
    },
    "protocols": {"probe": {"protocol": "linear_probe", "probe": {"penalties": [0.1], "max_iterations": 5}}},
    "samples_per_class": [2],
    "launch": {"kind": "local"},
}
TO_MORE = {"to-more": STUDY["routes"]["to-scans"]}


def tiny_study(storage: Storage, **changes: Any) -> StudyExperiment:
    settings = merge(merge(STUDY, {"storage": {"root": storage.address}}), changes)
    study: StudyExperiment = validate(StudyExperiment, settings, "test")
    return study


def record_of(study: StudyExperiment) -> Record:
    record = launch.run(study).record
    assert record is not None
    return record


def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that are carried out from now on, in their order, the study's own last."""
    runs: list[str] = []
    execute = launch._execute

    def noting(resolved: Any, *arguments: Any) -> Any:
        findings = execute(resolved, *arguments)
        runs.append(resolved.run)
        return findings

    monkeypatch.setattr(launch, "_execute", noting)
    return runs


def test_cells_are_ordinary_runs_and_a_pretraining_is_made_once_before_those_that_share_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = made(monkeypatch)
    record = record_of(tiny_study(storage, routes=TO_MORE))
    pretrainings = [run for run in runs if "-on-shapes-" in run]
    assert runs[:1] == pretrainings  # one for two routes
    assert len(runs) == 1 + 4 + 1
    for row in record.curves["cells"]:
        cell = read_record(storage, str(row["run"]))
        assert cell is not None
        assert cell.metrics["test/accuracy"] == row["test/accuracy"]
        assert list(cell.parents.values()) == ([row["pretraining"]] if row["pretraining"] else [])
    found = [read_record(storage, run) for run in runs[:-1]]
    assert record.samples_seen == sum(one.samples_seen for one in found if one is not None)


def test_a_study_that_was_stopped_goes_on_with_what_is_missing_and_a_new_row_adds_only_its_own(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(*arguments: Any) -> None:
        if arguments[1] == 1:
            raise PreemptedError("Asked to end.")

    with pytest.raises(PreemptedError):
        launch.run(tiny_study(storage), watcher=stopping)
    extents = foresee(tiny_study(storage), storage)
    assert extents["scratch", "patches"] == {"probe": Extent(1, 1)}
    assert extents["supervised", "patches"] == {"pretraining": Extent(1, 1), "probe": Extent(1, 0)}
    runs = made(monkeypatch)
    first = record_of(tiny_study(storage))
    assert len(runs) == 1 + 1
    assert launch.run(tiny_study(storage)).was_finished
    runs.clear()
    assert record_of(tiny_study(storage, seeds=[0, 1])).run != first.run
    assert {run.rpartition("-")[2] for run in runs[:-1]} == {"s1"}


def test_a_failed_cell_is_noted_and_the_rest_goes_on_without_sealing_the_study(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny_study(
        storage,
        starts={"unlucky": {"training": {"optimiser": {"learning_rate": 1e30, "clip_norm": None}}}},
    )
    with pytest.raises(TrainingError, match=r"1 of the 3 cells.*its pretraining.*pointlab report tiny-"):
        launch.run(study)
    (run,) = (name for name in storage.folders("runs") if name.count("-") == 1)
    assert read_record(storage, run) is None
    page = build_report(storage, [run])
    assert '<section id="study">' in page
    assert "2 of 3 finished, 1 failed" in page
    assert "learning_rate" in page
    runs = made(monkeypatch)
    with pytest.raises(TrainingError):
        launch.run(study)
    assert runs == []  # the finished are kept, the failed one failed again


def test_what_defines_a_study_is_its_runs(storage: Storage) -> None:
    def name(**changes: Any) -> str:
        return launch.resolve(tiny_study(storage, **changes), storage).run

    assert name() == name(max_concurrent=3) == name(routes={"to-scans": {"transfer": {"test": True}}})
    assert (
        len({name(), name(seeds=[1]), name(measure="validation/accuracy"), name(baseline="supervised")}) == 4
    )


def test_adjustments_and_exclusions_reach_the_cells_that_they_name_alone(storage: Storage) -> None:
    study = tiny_study(
        storage,
        seeds=[0, 1],
        samples_per_class=[None, 2],
        adjustments=[{"where": {"samples_per_class": 2}, "transfer": {"num_points": 32}}],
        exclude=[{"start": "supervised", "seed": [1]}],
    )
    assert len(study.cells) == 6
    assert all((c.experiment.num_points == 32) == (c.levels.samples_per_class == 2) for c in study.cells)
    assert all(c.levels.seed == 0 for c in study.cells if c.levels.start == "supervised")
    assert all(c.experiment.pretrained.seed == c.levels.seed for c in study.cells if c.experiment.pretrained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"protocols": {"odd": {"protocl": "full"}}},
            r"the cell scratch-patches-to-scans-odd-2-per-class.*protocl",
        ),
        ({"exclude": [{"backbone": "patchs"}]}, r"exclude\[0\].*did you mean 'patches'"),
        ({"baseline": "nothing"}, "baseline is 'nothing'"),
        ({"starts": {"same": {"seed": 3}}}, r"starts\.same sets seed"),
        ({"only": [{"seed": 0}], "exclude": [{"seed": 0}]}, "leave no cell"),
        ({"samples_per_class": [2, 2]}, "two cells are called"),
    ],
)
def test_mistakes_are_found_when_the_study_is_loaded(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        tiny_study(storage, **changes)


def test_a_step_waits_for_its_parents(storage: Storage) -> None:
    study = tiny_study(storage)
    ledger = Ledger(make_plan(study, launch.resolve(study, storage).datasets, storage))
    taken = []
    while (step := ledger.take()) is not None:
        taken.append(step.run)
    assert len(taken) == 2  # the pretraining, and what starts from scratch; the rest waits
    assert not any("supervised-patches-to" in run for run in taken)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_study_on_ray_has_the_cells_of_one_in_this_process(storage: Storage) -> None:
    here = record_of(tiny_study(storage, name="here"))
    there = record_of(tiny_study(storage, name="there", launch={"kind": "ray", "cpus_per_worker": 1}))
    assert [row["test/accuracy"] for row in here.curves["cells"]] == [
        row["test/accuracy"] for row in there.curves["cells"]
    ]
