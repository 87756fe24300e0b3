"""An analysis looks into backbones stage by stage, all on the same clouds, and says how it was done."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import BACKBONE, SCANS, SHAPES, TRANSFER
from pointlab.backbones import BackboneConfig
from pointlab.cli.show import MAX_ROWS, abridged
from pointlab.config import merge, validate
from pointlab.data.cache import CachedSplit
from pointlab.data.subsets import evenly_by_class
from pointlab.errors import ConfigError, DataError, PreemptedError
from pointlab.experiment import AnalyseExperiment
from pointlab.experiment.analysing import Task, analyse
from pointlab.experiment.analysis_notes import HEADS, favoured
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import Resolved, make_definite
from pointlab.experiment.stored_models import read_module, seeded_backbone
from pointlab.experiment.subjects import Reading
from pointlab.launch import Outcome, resolve, run
from pointlab.report import build_report
from pointlab.storage import Record, Storage, open_storage, read_record
from pointlab.training import LocalContext
from pointlab.transfer.batch_norm import batch_norms
from tiny_analyse import BRIEF, FINE_TUNED, SUBJECTS, tiny_analyse

STAGES = ["embedding", "block_1", "block_2"]


@pytest.fixture(scope="module")
def finished(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """An analysis of a transfer before and after and of a random backbone, in a store of its own."""
    root = tmp_path_factory.mktemp("analysed") / "store"
    shutil.copytree(prepared_root, root)
    return run(tiny_analyse(open_storage(str(root))))


@pytest.fixture(scope="module")
def record(finished: Outcome) -> Record:
    assert finished.record is not None
    return finished.record


def name_of(experiment: AnalyseExperiment) -> str:
    """The run's name, were all its sets of one content and its parents finished."""
    return make_definite(experiment, dict.fromkeys(experiment.datasets, "set-0000000000"), {}).run


def reading(storage: Storage, **changes: Any) -> Reading:
    resolved: Resolved[AnalyseExperiment] = resolve(tiny_analyse(storage, **changes), storage)
    return Reading(
        resolved, storage, open_data(storage, resolved.datasets["data"], 48), settle=lambda _: None
    )


def test_random_weights_get_batch_norm_statistics_of_the_clouds_that_probes_are_fit_on(
    storage: Storage,
) -> None:
    read, backbone = reading(storage), seeded_backbone(validate(BackboneConfig, BACKBONE, "test"), 0)
    Task(read.resolved, LocalContext(storage), read.data)._settle(backbone)
    (first, *_) = batch_norms(backbone)
    assert first.running_var is not None
    assert float(first.running_var.max()) < 0.5  # it begins at 1


def test_a_transfer_is_shown_before_and_after_beside_the_random_network(record: Record) -> None:
    assert record.protocol == "analysis/validation"
    rows = record.curves["stages"]
    names = ["tuned-before", "tuned-after", "random"]
    assert [(row["subject"], row["stage"]) for row in rows] == [(one, at) for one in names for at in STAGES]
    moved = [row["drift"] for row in rows]
    assert all(isinstance(drift, float) and drift > 0 for drift in moved[3:6])
    assert moved[:3] + moved[6:] == [""] * 6
    assert record.parents.keys() == {"tuned", "tuned-pretrained"}
    assert {f"{row['subject_a']} {row['subject_b']}" for row in record.curves["cka"]} >= {
        "tuned-before tuned-after",
        "random random",
    }


def test_the_record_says_how_it_was_measured_and_holds_few_metrics(record: Record, finished: Outcome) -> None:
    assert set(record.metrics) == {
        f"validation/{name}/block_2/{measure}"
        for name in ("tuned-before", "tuned-after", "random")
        for measure in ("linear_accuracy", "knn_accuracy", "rankme")
    }
    assert {"clouds", "points of a cloud", "gradients", "accuracies", "seconds"} <= record.notes.keys()
    assert record.notes["CKA"] == "unbiased, 1 mini-batch of 15 clouds"
    assert record.notes["linear probe"].endswith("a subject that was trained on this set had seen them")
    assert record.notes["selected on the shown split"].startswith("tuned: ")
    assert record.notes["clouds"] == "45 of train to fit on, 15 of validation to score on"
    heads = [record.notes[f"head of {name}"] for name in ("tuned-before", "tuned-after", "random")]
    assert heads == [HEADS["fresh"], HEADS["own"], HEADS["fresh"]]
    assert record.curves["shown"] == [
        {"split": "train", "clouds": 45, "classes": 16},
        {"split": "validation", "clouds": 15, "classes": 15},
    ]
    assert record.samples_seen == 60
    clouds = record.curves["embedding"]
    split = open_data(finished.storage, record.datasets["data"], 48).split("validation")
    assert len(clouds) == 3 * 15
    assert {str(row["id"]) for row in clouds} < {str(id_) for id_ in split.ids}


def test_a_finished_analysis_is_found_again(finished: Outcome) -> None:
    again = run(tiny_analyse(finished.storage, num_threads=2))
    assert again.was_finished
    assert again.record == finished.record


def test_subjects_are_the_stored_weights_and_new_heads_are_alike(finished: Outcome) -> None:
    read = reading(finished.storage)
    before, after, random = read.subjects()
    parents = read.resolved.parents
    for subject, role in ((before, "tuned-pretrained"), (after, "tuned")):
        stored = read_module(finished.storage, parents[role], "backbone")
        assert all(
            torch.equal(stored[name], tensor) for name, tensor in subject.backbone.state_dict().items()
        )
    assert after.start is not None
    assert all(
        torch.equal(after.start[name], tensor) for name, tensor in before.backbone.state_dict().items()
    )
    assert torch.equal(before.head.weight, random.head.weight)
    assert [one.head_kind for one in (before, after, random)] == ["fresh", "own", "fresh"]
    assert all(one.head_kind == "fresh" for one in reading(finished.storage, heads="fresh").subjects())


def test_a_classifier_of_the_same_classes_keeps_its_head(finished: Outcome) -> None:
    subjects = {"shapes": BRIEF, "scans": {**FINE_TUNED, "protocol": "linear_probe"}}
    found = reading(finished.storage, subjects=subjects, with_start=False).subjects()
    assert [(subject.name, subject.head_kind) for subject in found] == [("shapes", "own"), ("scans", "own")]
    assert isinstance(found[1].head, torch.nn.Linear)


def test_clouds_are_drawn_evenly_by_class_and_small_draws_lie_within_larger_ones(storage: Storage) -> None:
    experiment = tiny_analyse(storage, subjects={"random": SUBJECTS["random"]}, data=SHAPES)
    split = open_data(storage, resolve(experiment, storage).datasets["data"], 48).split("train")
    few, more = (evenly_by_class(split, count, seed=0) for count in (20, 40))
    assert set(few) < set(more)
    counts = np.bincount(split.labels[few], minlength=15)
    assert counts.sum() == 20
    assert counts.max() - counts.min() <= 1
    assert list(evenly_by_class(split, 10_000, seed=0)) == list(range(len(split)))
    assert list(evenly_by_class(split, 20, seed=1)) != list(few)


def test_clouds_without_labels_are_refused(tmp_path: Path) -> None:
    arrays = {"ids": np.arange(3), "labels": np.array([0, -1, 1]), "groups": np.array(["", "", ""])}
    arrays |= {"offsets": np.arange(4), "points": np.zeros((3, 3), np.float32)}
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    with pytest.raises(DataError, match="without a label"):
        evenly_by_class(CachedSplit(tmp_path), 2, seed=0)


def test_an_analysis_that_is_asked_to_end_does(finished: Outcome) -> None:
    resolved, stop = resolve(tiny_analyse(finished.storage, seed=1), finished.storage), threading.Event()
    stop.set()
    with pytest.raises(PreemptedError, match="run the same command again"):
        analyse(resolved, LocalContext(finished.storage, stop=stop))
    assert read_record(finished.storage, resolved.run) is None


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"num_clouds": 40}, True),
        ({"heads": "fresh"}, True),
        ({"analysis": {"num_neighbours": 4}}, True),
        ({"subjects": {"tuned": merge(FINE_TUNED, {"seed": 1})}}, True),
        ({"num_threads": 2}, False),
    ],
)
def test_a_run_s_identity_covers_all_that_changes_its_figures(
    finished: Outcome, change: dict[str, Any], is_another: bool
) -> None:
    runs = {name_of(tiny_analyse(finished.storage, **changes)) for changes in ({}, change)}
    assert (len(runs) == 2) == is_another


def test_what_is_shown_counts_whoever_comes_first(storage: Storage) -> None:
    one, other = FINE_TUNED, {**merge(FINE_TUNED, {"num_points": 32}), "data": SHAPES}
    runs = {
        name_of(tiny_analyse(storage, subjects=subjects))
        for subjects in ({"a": one, "b": other}, {"b": other, "a": one})
    }
    assert len(runs) == 2
    shown = {"data": SCANS, "num_points": 48}
    named = {
        name_of(tiny_analyse(storage, subjects=subjects, **shown))
        for subjects in ({"a": one, "b": other}, {"b": other, "a": one})
    }
    assert len(named) == 1


def test_subjects_that_were_chosen_on_the_shown_clouds_are_named(storage: Storage) -> None:
    mixed = merge(TRANSFER, {"pretrained": BRIEF})
    on_shapes = merge(BRIEF, {"training": {"selection": "best"}})
    frozen = {**FINE_TUNED, "protocol": "linear_probe", "pretrained": on_shapes}
    subjects = {"tuned": FINE_TUNED, "mixed": mixed, "frozen": frozen, "random": SUBJECTS["random"]}
    assert favoured(tiny_analyse(storage, subjects=subjects)) == ["tuned", "mixed"]
    assert favoured(tiny_analyse(storage, subjects=subjects, data=SHAPES)) == ["frozen"]
    assert favoured(tiny_analyse(storage, subjects=subjects, split="test")) == []


def test_data_and_points_are_those_of_the_first_transfer(storage: Storage) -> None:
    subjects = {"shapes": BRIEF, "tuned": merge(FINE_TUNED, {"num_points": 32})}
    experiment = tiny_analyse(storage, subjects=subjects)
    assert experiment.shown.name == "scans"
    assert experiment.points_shown == 32
    assert tiny_analyse(storage, subjects={"shapes": BRIEF}).shown.name == "shapes"
    alone = tiny_analyse(storage, subjects={"random": SUBJECTS["random"]}, data=SCANS)
    assert alone.points_shown == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"launch": {"kind": "ray"}}, "runs in this process"),
        ({"subjects": {}}, "at least 1 item"),
        ({"subjects": {"random": SUBJECTS["random"]}}, "give the data"),
        ({"subjects": {**SUBJECTS, "tuned-after": BRIEF}}, "two subjects would be called tuned-after"),
        ({"subjects": {**SUBJECTS, "tuned-pretrained": BRIEF}}, "called tuned-pretrained"),
        ({"subjects": {"A/B": BRIEF}}, "pattern"),
        ({"subjects": {"found": {"kind": "search"}}}, "unknown kind 'search'"),
        ({"num_points": 65}, "lower num_points"),
        ({"split": "train"}, "split"),
        ({"num_clouds": 8}, "leave 2 to score on, and 4 are needed"),
        ({"num_clouds": 20, "analysis": {}}, "leave 15 to fit on, and 20 are needed.*num_neighbours"),
        ({"analysis": {"estimater": "biased"}}, "did you mean 'estimator'"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_analyse(storage, **changes)


def test_a_set_without_a_validation_split_says_what_to_do(finished: Outcome) -> None:
    read = reading(finished.storage)
    manifest = read.data.manifest.model_copy(update={"rows": {"train": 45}})
    task = Task(read.resolved, LocalContext(finished.storage), replace(read.data, manifest=manifest))
    with pytest.raises(DataError, match=r"no validation split.*validation_fraction"):
        task.findings()


def test_a_set_with_too_few_clouds_is_refused_before_the_pass(finished: Outcome) -> None:
    read = reading(finished.storage, num_clouds=200, analysis={"num_neighbours": 60})
    task = Task(read.resolved, LocalContext(finished.storage), read.data)
    with pytest.raises(
        DataError, match=r"has 48 train clouds to fit on.*at least 60.*analysis.num_neighbours"
    ):
        task.findings()


def test_more_neighbours_than_clouds_of_a_class_are_told(record: Record) -> None:
    told = "3: more than the 2 clouds to fit on of the smallest class"
    assert record.notes["nearest neighbours"].startswith(told)


def test_of_measures_that_were_not_taken_nothing_is_told(finished: Outcome) -> None:
    changes = {"subjects": {"random": SUBJECTS["random"]}, "data": SCANS, "num_points": 48}
    taken = {"measures": ["gradients"], "embedding_stages": "none"}
    resolved = reading(finished.storage, **changes, analysis=taken).resolved
    told = analyse(resolved, LocalContext(finished.storage)).notes
    assert told["clouds"] == "45 of train to fit on"
    assert set(told) == {"clouds", "points of a cloud", "gradients", "head of random", "seconds"}


def test_the_report_shows_every_measure_by_stage(finished: Outcome, record: Record) -> None:
    page = build_report(finished.storage, [record.run])
    section = page[page.index('<section id="analysis">') :]
    section = section[: section.index("</section>")]
    for measure in ("linear_accuracy", "normal_error", "gradient_norm", "drift", "rankme", "cka-stages"):
        assert f"-{measure}" in section
    assert "Not independent of that split: tuned" in page
    assert section.count('class="plotly-graph-div"') == 6 + 1 + 3 + 3 + 3
    assert "Gradient norms of every parameter" in section
    assert record.notes["clouds"] in section
    assert "Linear accuracy reaches" in page[: page.index("<main>")]


def test_a_terminal_shows_the_first_rows_of_long_tables_and_says_how_many_it_leaves_out(
    record: Record,
) -> None:
    shown, left_out = abridged(record)
    assert dict(left_out) == {"parameters": 126 - MAX_ROWS, "cka": 54 - MAX_ROWS, "embedding": 45 - MAX_ROWS}
    assert shown.curves["stages"] == record.curves["stages"]
    assert len(shown.curves["cka"]) == MAX_ROWS
