"""A study is its cells: each an ordinary run, made once, and compared with the baseline at the same seed."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from pointlab import launch
from pointlab.cli.plans import table_of_plan
from pointlab.errors import ConfigError, PreemptedError, TrainingError
from pointlab.experiment import AnalyseExperiment, StudyExperiment, TransferExperiment, load
from pointlab.experiment.resolve import make_definite
from pointlab.launch import runs as runs_of_launch
from pointlab.report import build_report
from pointlab.storage import Record, Storage, open_storage, read_record
from pointlab.study import Extent, Failure, Ledger, foresee
from pointlab.study.planning import make_plan
from pointlab.study.tables import findings_of_cells
from tiny_study import STUDY, tiny_study

TO_MORE = {"to-more": STUDY["routes"]["to-scans"]}


def record_of(study: StudyExperiment) -> Record:
    record = launch.run(study).record
    assert record is not None
    return record


def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that are carried out from now on, in their order, the study's own last."""
    runs: list[str] = []
    execute = runs_of_launch._execute

    def noting(resolved: Any, *arguments: Any, **named: Any) -> Any:
        findings = execute(resolved, *arguments, **named)
        runs.append(resolved.run)
        return findings

    monkeypatch.setattr(runs_of_launch, "_execute", noting)
    return runs


@pytest.fixture(scope="module")
def made_store(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store in which a study of two routes was carried out, and its runs in the order of their ends."""
    root = tmp_path_factory.mktemp("study") / "store"
    shutil.copytree(prepared_root, root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        runs = made(monkeypatch)
        record_of(tiny_study(open_storage(str(root)), routes=TO_MORE))
    return root, runs


@pytest.fixture
def stored(made_store: tuple[Path, list[str]], tmp_path: Path) -> Storage:
    """A copy of it of the test's own."""
    shutil.copytree(made_store[0], tmp_path / "store")
    return open_storage(str(tmp_path / "store"))


def test_cells_are_ordinary_runs_and_a_pretraining_is_made_once_before_those_that_share_it(
    stored: Storage, made_store: tuple[Path, list[str]]
) -> None:
    runs = made_store[1]
    record = record_of(tiny_study(stored, routes=TO_MORE))
    pretrainings = [run for run in runs if "-on-shapes-" in run]
    assert runs[:1] == pretrainings  # one for two routes
    assert len(runs) == 1 + 4 + 1
    assert not stored.exists(f"runs/{record.run}/so-far.json")
    for row in record.curves["cells"]:
        cell = read_record(stored, str(row["run"]))
        assert cell is not None
        assert cell.metrics["test/accuracy"] == row["test/accuracy"]
        assert list(cell.parents.values()) == ([row["pretraining"]] if row["pretraining"] else [])
    found = [read_record(stored, run) for run in runs[:-1]]
    assert record.samples_seen == sum(one.samples_seen for one in found if one is not None)


def test_a_study_that_sigterm_stopped_between_two_cells_goes_on_with_what_is_missing_alone(
    stored: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny_study(stored, samples_per_class=[1, 2])
    runs = made(monkeypatch)
    transfer = runs_of_launch.STAGES["transfer"]

    def terminated(*arguments: Any) -> Any:
        findings = transfer(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return findings

    with monkeypatch.context() as patched:
        patched.setitem(runs_of_launch.STAGES, "transfer", terminated)
        with pytest.raises(PreemptedError, match="4 of its 5 experiments"):
            launch.run(study)
    assert len(runs) == 1  # a probe came to its end; the next one was not begun
    extents = foresee(study, stored)
    assert extents["scratch", "patches"] == {"probe": Extent(2, 2)}
    assert extents["supervised", "patches"] == {"pretraining": Extent(1, 1), "probe": Extent(2, 1)}
    rows = [list(column.cells) for column in table_of_plan(study).columns]
    assert rows == [
        ["scratch", "supervised", "all"],
        ["patches", "patches", ""],
        ["", "1 finished", "1 finished"],
        ["2 finished", "1 of 2 finished", "3 of 4 finished"],
    ]
    runs.clear()
    assert not launch.run(study).was_finished
    assert len(runs) == 1 + 1
    assert launch.run(study).was_finished
    with pytest.raises(ConfigError, match="no second attempt"):
        launch.run(study, rerun=True)


def test_the_answer_of_a_cell_says_how_few_labels_it_had(stored: Storage) -> None:
    (run,) = (name for name in stored.folders("runs") if "scratch-patches-to-scans-probe-2" in name)
    assert "linear probe with 2 labelled training clouds of each class reaches" in build_report(stored, [run])


def test_a_failed_cell_is_noted_and_the_rest_goes_on_without_sealing_the_study(
    stored: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"training": {"optimiser": {"learning_rate": 1e30, "clip_norm": None}}}
    study = tiny_study(
        stored,
        samples_per_class=[2, 1],
        starts={"unlucky": broken},
        only=[{"samples_per_class": 2}, {"start": ["unlucky", "scratch"]}],
    )
    with pytest.raises(TrainingError, match=r"2 of the 5 cells.*its pretraining.*pointlab report tiny-"):
        launch.run(study)
    run = launch.resolve(study, stored).run
    assert read_record(stored, run) is None
    page = build_report(stored, [run])
    assert '<section id="study">' in page
    assert "3 of 5 finished, 2 failed" in page
    assert "lower training.optimiser.learning_rate" in page
    assert "however few training labels it had; its test split was read once" in page
    assert "<summary>2 cells</summary>" in page  # which failed alike, and are told once
    runs = made(monkeypatch)
    with pytest.raises(TrainingError):
        launch.run(study)
    assert runs == []  # the finished are kept, the failed one failed again


def test_figures_of_several_versions_of_the_code_are_marked_and_a_cell_without_the_measure_is_an_error(
    stored: Storage,
) -> None:
    study = tiny_study(stored)
    plan = make_plan(study, launch.resolve(study, stored).datasets, stored)
    assert "code" not in findings_of_cells(study, plan, plan.records, {}).notes
    other = {run: record.model_copy(update={"code_version": "old"}) for run, record in plan.records.items()}
    assert findings_of_cells(study, plan, other, {}).notes["code"].startswith("2 versions: ")
    blind = {run: record.model_copy(update={"metrics": {}}) for run, record in plan.records.items()}
    with pytest.raises(ConfigError, match=r"compares test/accuracy, which the finished cell .* lacks"):
        findings_of_cells(study, plan, blind, {})


def test_while_a_study_is_unfinished_only_whole_places_are_pooled(stored: Storage) -> None:
    study = tiny_study(stored, routes=TO_MORE)
    plan = make_plan(study, launch.resolve(study, stored).datasets, stored)
    gone = next(run for run, cell in plan.cells.items() if cell.levels.start == "supervised")
    known = {run: record for run, record in plan.records.items() if run != gone}
    whole, partial = (findings_of_cells(study, plan, found, {}) for found in (plan.records, known))
    assert [row["pairs"] for row in whole.curves["pooled"]] == [2.0]
    assert [row["pairs"] for row in partial.curves["pooled"]] == [1.0]


def test_every_measure_is_compared_by_itself_at_the_cells_that_have_it(stored: Storage) -> None:
    study = tiny_study(stored, further_measures=["validation/accuracy"])
    plan = make_plan(study, launch.resolve(study, stored).datasets, stored)
    scratch = next(run for run, cell in plan.cells.items() if cell.levels.start == "scratch")
    untold = {"metrics": {"test/accuracy": plan.records[scratch].metrics["test/accuracy"]}}
    partial = plan.records | {scratch: plan.records[scratch].model_copy(update=untold)}
    for records, starts in ((plan.records, ["scratch", "supervised"]), (partial, ["supervised"])):
        rows = findings_of_cells(study, plan, records, {}).curves["comparison"]
        assert [(row["measure"], row["start"]) for row in rows if row["measure"] == study.measure] == [
            ("test/accuracy", "scratch"),
            ("test/accuracy", "supervised"),
        ]
        further = [row for row in rows if row["measure"] == "validation/accuracy"]
        assert [row["start"] for row in further] == starts
        assert [row["difference"] != "" for row in further if row["start"] != "scratch"] == [len(starts) == 2]


def test_a_failure_that_may_pass_is_tried_again_so_often_and_no_more(stored: Storage) -> None:
    study = tiny_study(
        stored, samples_per_class=[1], starts={"supervised": None}, exclude=[{"start": "supervised"}]
    )
    ledger = Ledger(make_plan(study, launch.resolve(study, stored).datasets, stored), max_failures=2)
    for _ in range(3):
        step = ledger.take()
        assert step is not None
        ledger.note(step, Failure("the store was away", may_pass=True))
    assert ledger.take() is None
    assert ledger.failed_cells == [step.run]


def test_what_defines_a_study_is_its_runs(storage: Storage) -> None:
    def name(**changes: Any) -> str:
        return launch.resolve(tiny_study(storage, **changes), storage).run

    assert (
        name() == name(launch={"max_failures": 1}) == name(routes={"to-scans": {"transfer": {"test": True}}})
    )
    others = ({"seeds": [1]}, {"measure": "validation/accuracy"}, {"baseline": "supervised"})
    more = {"further_measures": ["validation/accuracy"]}
    assert len({name(), name(**more), *(name(**changes) for changes in others)}) == 5


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
        ({"measure": "test/acuracy"}, "measure is 'test/acuracy'.*it has validation/accuracy, test/accuracy"),
        (
            {"measure": "test/acuracy", "further_measures": ["test/miou"]},
            "measure is 'test/acuracy' or 'test/miou', which the cell scratch-",
        ),
        (
            {"further_measures": ["test/miou"]},
            "no cell will have 'test/miou'; they have test/accuracy, valid",
        ),
        ({"further_measures": ["test/accuracy"]}, "name one twice: test/accuracy, test/accuracy"),
        ({"protocols": {"probe": {"test": False}}}, "measure is 'test/accuracy', which the cell scratch-"),
        (
            {
                "seeds": [0, 1],
                "adjustments": [{"where": {"seed": 1}, "transfer": {"protocol": "linear_svm"}}],
            },
            "protocol probe is linear_probe/2-per-class in one cell and linear_svm/2-per-class in scratch-",
        ),
        ({"launch": {"num_workers": 4}}, "trains on one worker"),
        ({"max_concurrent": 2}, "max_concurrent is for launch.kind ray"),
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
def test_a_study_on_ray_has_the_cells_of_one_in_this_process(stored: Storage) -> None:
    here = record_of(tiny_study(stored, routes=TO_MORE)).curves["cells"]
    on_ray = {"kind": "ray", "cpus_per_worker": 1}
    there = record_of(tiny_study(stored, name="there", launch=on_ray, max_concurrent=1))
    assert [row["test/accuracy"] for row in here if row["route"] == "to-scans"] == [
        row["test/accuracy"] for row in there.curves["cells"]
    ]


@pytest.mark.parametrize("name", ["laptop", "starts"])
def test_the_analysis_of_a_study_is_of_the_studys_own_runs(name: str) -> None:
    """So that nothing is trained again for it."""
    configs = Path(__file__).parents[1] / "configs"
    study, analysis = load(configs / f"study/{name}.yaml"), load(configs / f"analyse/{name}.yaml")
    assert isinstance(study, StudyExperiment)
    assert isinstance(analysis, AnalyseExperiment)
    cells = {cell.experiment.name: cell.experiment for cell in study.cells if cell.levels.seed == 0}
    for subject in analysis.subjects.values():
        assert isinstance(subject, TransferExperiment)
        assert run_of(subject) == run_of(cells[subject.name])
        if subject.pretrained is not None:
            assert run_of(subject.pretrained) == run_of(cells[subject.name].pretrained)


def run_of(experiment: Any) -> str:
    """The name of the run that an experiment makes, its datasets told apart by their recipes alone."""
    datasets = {role: f"set-{config.recipe()}" for role, config in experiment.datasets.items()}
    return make_definite(experiment, datasets, {}).run
