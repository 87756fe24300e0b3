"""An evaluation measures a finished classifier on clean and corrupted clouds, and says which clouds."""

import shutil
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from conftest import PRETRAIN, SHAPES, TRAINING, TRANSFER
from pointlab.config import merge, validate
from pointlab.data.corruptions import SUITES, CorruptionSuite, corrupt
from pointlab.data.corruptions.contract import SEVERITIES
from pointlab.data.dataset import DatasetConfig
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError, PreemptedError
from pointlab.evaluation import classification_metrics
from pointlab.evaluation.baselines import DGCNN
from pointlab.experiment import EvaluateExperiment, PretrainExperiment, TransferExperiment
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.evaluating import evaluate
from pointlab.experiment.prepared_data import open_data
from pointlab.launch import resolve, run
from pointlab.report import build_report
from pointlab.seeding import generator
from pointlab.storage import Record, Storage, open_storage, read_record
from pointlab.training import LocalContext

PART = {"name": "modelnet_c", "corruptions": ["scale", "dropout_local", "add_local"], "severities": [1, 5]}
CLASSIFIER = merge(PRETRAIN, {"training": {"epochs": 1}})
PROBE = merge(
    TRANSFER,
    {
        "name": "tiny-probe",
        "data": SHAPES,
        "shifted": None,
        "protocol": "linear_probe",
        "pretrained": CLASSIFIER,
    },
)


@pytest.fixture(scope="module")
def trained_root(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny sets and the classifier that most tests measure, to be copied."""
    root = tmp_path_factory.mktemp("trained") / "store"
    shutil.copytree(prepared_root, root)
    settings = merge(CLASSIFIER, {"storage": {"root": str(root)}})
    run(validate(PretrainExperiment, settings, "test"))
    return root


@pytest.fixture
def storage(trained_root: Path, tmp_path: Path) -> Storage:
    """A store of the test's own that holds them."""
    shutil.copytree(trained_root, tmp_path / "store")
    return open_storage(str(tmp_path / "store"))


def settings_of(storage: Storage, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "evaluate",
        "name": "tiny-corruptions",
        "classifier": CLASSIFIER,
        "suite": PART,
        "storage": {"root": storage.address},
    }
    return merge(base, changes)


def tiny_evaluate(storage: Storage, **changes: Any) -> EvaluateExperiment:
    experiment: EvaluateExperiment = validate(EvaluateExperiment, settings_of(storage, **changes), "test")
    return experiment


def record_of(experiment: EvaluateExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def test_a_supervised_classifier_is_trained_first_and_measured_under_every_condition(
    storage: Storage,
) -> None:
    record = record_of(tiny_evaluate(storage, suite={"severities": list(SEVERITIES)}))
    assert record.protocol.startswith("corruptions/modelnet_c/generated/part/")
    names = {f"test/{name}/{severity}/accuracy" for name in PART["corruptions"] for severity in SEVERITIES}
    assert names | {"test/accuracy", "test/mOA", "test/mCE", "test/RmCE", "test/error"} <= set(record.metrics)
    assert all(0 <= record.metrics[name] <= 1 for name in names)
    assert record.notes["origin"] == "generated"
    assert record.notes["baseline"] == "DGCNN"
    assert "RmCE divides by" in record.notes["warning"]
    assert len(record.notes["content hash"]) == 64
    parent = read_record(storage, record.parents["classifier"])
    assert parent is not None
    assert parent.kind == "pretrain"


def test_an_accuracy_is_that_of_the_stored_classifier_on_clouds_corrupted_one_by_one(
    storage: Storage,
) -> None:
    experiment = tiny_evaluate(storage)
    record = record_of(experiment)
    classifier = read_classifier(experiment.classifier, record.parents["classifier"], storage)
    data = open_data(storage, record.datasets["data"], 48)
    split, suite = data.split("test"), CorruptionSuite(name="modelnet_c")
    logits = []
    for row in range(len(split)):
        stored = split.arrays(row, ("points",))["points"]
        cloud = corrupt(stored, suite, ("add_local", 5), sample_id=int(split.ids[row]), num_points=48)
        alone = PointBatch(
            points=torch.from_numpy(cloud)[None], counts=torch.tensor([len(cloud)]), ids=torch.tensor([row])
        )
        with torch.no_grad():
            logits.append(classifier.head.eval()(classifier.backbone.eval()(alone).pooled))
    expected = classification_metrics(torch.cat(logits), torch.from_numpy(np.array(split.labels)))
    assert record.metrics["test/add_local/5/accuracy"] == pytest.approx(expected["accuracy"])


def test_a_transfer_s_parents_are_made_two_levels_deep(storage: Storage) -> None:
    record = record_of(tiny_evaluate(storage, classifier=PROBE, suite={"severities": [1]}))
    probe = read_record(storage, record.parents["classifier"])
    assert probe is not None
    assert probe.kind == "transfer"
    assert record.metrics["test/accuracy"] == pytest.approx(probe.metrics["test/accuracy"])
    pretrained = read_record(storage, probe.parents["pretrained"])
    assert pretrained is not None
    assert pretrained.kind == "pretrain"


def test_hashes_and_clouds_do_not_depend_on_the_batch(storage: Storage) -> None:
    resolved = resolve(tiny_evaluate(storage), storage)
    small = resolve(tiny_evaluate(storage, batch_size=3), storage)
    assert small.run == resolved.run
    notes = [evaluate(one, LocalContext(storage)).notes for one in (resolved, small)]
    assert notes[0] == notes[1]


@pytest.mark.parametrize(
    ("change", "suite_changes"),
    [
        ({"suite": {"seed": 1}}, True),
        ({"suite": {"severities": [1, 4]}}, True),
        ({"split": "validation"}, True),
        ({"num_points": 40}, True),
        ({"rounding": "paper"}, False),
        ({"classifier": {"seed": 1}}, False),
    ],
)
def test_a_run_s_identity_covers_the_suite_and_more(
    storage: Storage, change: dict[str, Any], suite_changes: bool
) -> None:
    names, hashes = set(), set()
    for changes in ({}, change):
        experiment = tiny_evaluate(storage, **changes)
        names.add(resolve(experiment, storage).run)
        hashes.add(experiment.suite.identity("shapes-1", experiment.split, experiment.points_shown))
    assert len(names) == 2
    assert (len(hashes) == 2) == suite_changes


def test_two_suites_are_two_runs(storage: Storage) -> None:
    """Their names are settings, unlike those of experiments, which only name folders."""
    suites = [
        {"name": name, "corruptions": None, "severities": [1]} for name in ("modelnet_c", "modelnet40_c")
    ]
    runs = [resolve(tiny_evaluate(storage, suite=suite, num_points=32), storage).run for suite in suites]
    assert runs[0] != runs[1]
    renamed = tiny_evaluate(storage, name="another", suite=suites[0], num_points=32)
    assert resolve(renamed, storage).run == runs[0].replace("tiny-corruptions", "another")


def test_validation_is_measured_on_request_and_test_is_then_left_alone(storage: Storage) -> None:
    record = record_of(tiny_evaluate(storage, split="validation", suite={"corruptions": ["scale"]}))
    assert {name.partition("/")[0] for name in record.metrics} == {"validation"}


def test_modelnet40_c_reports_its_plain_error_and_divides_by_nothing(storage: Storage) -> None:
    suite = {"name": "modelnet40_c", "corruptions": ["occlusion", "uniform"], "severities": [2]}
    record = record_of(tiny_evaluate(storage, suite=suite))
    mean = np.mean([record.metrics[f"test/{name}/accuracy"] for name in ("occlusion", "uniform")])
    assert record.metrics["test/error"] == pytest.approx(1 - mean)
    assert not any(name.endswith("CE") for name in record.metrics)
    assert record.notes["baseline"] == "none"
    assert "warning" not in record.notes


def test_a_part_of_the_severities_is_divided_by_nothing_that_was_measured_under_all(storage: Storage) -> None:
    own = {"name": "mine", "clean": 0.9, "accuracies": {"scale": 0.5}}
    suite = {"corruptions": ["scale"], "severities": [3]}
    alone = record_of(tiny_evaluate(storage, suite=suite))
    assert not any(name.endswith("CE") for name in alone.metrics)
    assert alone.notes["baseline"] == "none"
    assert "means over 5 severities, those here over severity 3" in alone.notes["warning"]
    assert "test/mCE" in record_of(tiny_evaluate(storage, suite=suite, baseline=own)).metrics


def test_an_evaluation_that_is_asked_to_end_does_and_can_be_made_anew(storage: Storage) -> None:
    resolved, stop = resolve(tiny_evaluate(storage), storage), threading.Event()
    stop.set()
    with pytest.raises(PreemptedError, match="run the same command again"):
        evaluate(resolved, LocalContext(storage, stop=stop))
    assert evaluate(resolved, LocalContext(storage)).metrics


def test_a_finished_evaluation_is_found_again(storage: Storage) -> None:
    experiment = tiny_evaluate(storage, suite={"corruptions": ["scale"]})
    first, second = run(experiment), run(experiment)
    assert not first.was_finished
    assert second.was_finished


def test_the_report_of_an_evaluation_shows_its_table_and_the_suite(storage: Storage) -> None:
    record = record_of(tiny_evaluate(storage))
    page = build_report(storage, [record.run])
    section = page[page.index('<section id="corruptions">') :]
    for told in (*PART["corruptions"], "severity 5", "RCE", record.notes["suite hash"], "DGCNN", "yardstick"):
        assert told in section


def write_release(folder: Path, lengths: dict[str, int]) -> None:
    """True files of ModelNet-C, with five clouds each: doubles, of a length of each corruption's own."""
    draw = generator("release")
    for name, length in lengths.items():
        for level in range(5):
            file = "clean.h5" if name == "clean" else f"{name}_{level}.h5"
            with h5py.File(folder / file, "w") as content:
                content["data"] = draw.uniform(-1, 1, (5, length, 3))
                content["label"] = np.arange(5, dtype=np.uint8)[:, None]


def official_settings(folder: Path) -> dict[str, Any]:
    """Settings of an evaluation on a release, by a classifier trained on two clouds of each class."""
    write_release(folder, {"clean": 60, **dict.fromkeys(SUITES["modelnet_c"], 50), "add_local": 70})
    with h5py.File(folder / "train.h5", "w") as content:
        content["data"] = generator("train").uniform(-1, 1, (80, 64, 3)).astype(np.float32)
        content["label"] = np.tile(np.arange(40, dtype=np.uint8), 2)[:, None]
    clean = {
        "name": "clean",
        "source": {"kind": "modelnet_h5", "files": {"train": ["train.h5"]}, "class_names": CLASSES_40},
        "root": str(folder),
        "num_points": 64,
        "validation_fraction": 0,
    }
    released = {
        "name": "released",
        "source": {"kind": "modelnet_c"},
        "root": str(folder),
        "num_points": 1524,
        "normalise": "none",
        "validation_fraction": 0,
    }
    classifier = {**PRETRAIN, "data": clean, "training": {**TRAINING, "epochs": 1}}
    return {"classifier": classifier, "data": released, "suite": {"name": "modelnet_c", "origin": "official"}}


def test_released_clouds_are_measured_as_they_are_and_under_a_protocol_of_their_own(
    storage: Storage, tmp_path: Path
) -> None:
    settings = {"kind": "evaluate", "name": "official", "storage": {"root": storage.address}}
    experiment = validate(EvaluateExperiment, settings | official_settings(tmp_path), "test")
    record = record_of(experiment)
    assert record.protocol == "corruptions/modelnet_c/official"
    assert record.notes["origin"] == "official"
    assert "comparability" not in record.notes
    assert record.samples_seen == 7 * 5 * 5
    conditions = [name for name in record.metrics if name.count("/") == 3]
    assert len(conditions) == 7 * 5
    assert {"test/accuracy", "test/mCE", "test/RmCE"} <= set(record.metrics)
    data = open_data(storage, record.datasets["data"], 1524)
    split = data.split("test")
    assert split.lengths(np.flatnonzero(split.groups == "add_local/3")).tolist() == [70] * 5


def test_a_release_that_lacks_clouds_is_refused_before_anything_is_measured(
    storage: Storage, tmp_path: Path
) -> None:
    settings = {"kind": "evaluate", "name": "official", "storage": {"root": storage.address}}
    experiment = validate(EvaluateExperiment, settings | official_settings(tmp_path), "test")
    with h5py.File(tmp_path / "rotate_2.h5", "r+") as content:
        for key in ("data", "label"):
            kept = content[key][:4]
            del content[key]
            content[key] = kept
    with pytest.raises(DataError, match=r"rotate/3 has 4.*5 clouds in each, as in clean"):
        run(experiment)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"normalise": "unit_sphere"}}, "normalise: none"),
        ({"data": {"num_points": 1024}}, "1524 or more"),
        ({"data": {"voxel_size": 0.1}}, "no longer what was released"),
        ({"data": {"bad_clouds": "drop"}}, "no longer what was released"),
        ({"num_points": 48}, "shown whole"),
        ({"suite": {"origin": "generated"}}, "corrupted already"),
        ({"suite": {"name": "modelnet40_c"}}, "of kind 'modelnet_c'"),
    ],
)
def test_released_and_generated_clouds_are_never_mixed(
    storage: Storage, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings = {"kind": "evaluate", "name": "official", "storage": {"root": storage.address}}
    mixed = merge(settings | official_settings(tmp_path), changes)
    with pytest.raises(ConfigError, match=message):
        validate(EvaluateExperiment, mixed, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"launch": {"kind": "ray"}}, "runs in this process"),
        ({"num_points": 65}, "lower num_points"),
        ({"suite": {"name": "modelnet40_c", "corruptions": ["density_inc"]}}, "picks 48 points from 96"),
        ({"suite": {"origin": "official"}}, "expected data in the released files"),
        ({"classifier": {"data": {"normalise": "none"}}}, "unit sphere"),
        ({"classifier": {"data": {"voxel_size": 0.1}}}, "voxel_size: 0.1: expected null"),
        ({"baseline": {"name": "x", "clean": 0.9, "accuracies": {"scale": 0.5}}}, "dropout_local, add_local"),
        ({"split": "train"}, "split"),
        ({"classifier": {"kind": "search"}}, "unknown kind 'search'"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_evaluate(storage, **changes)


def test_a_set_with_other_classes_is_refused(storage: Storage, tmp_path: Path) -> None:
    other = merge(SHAPES, {"name": "other"})
    experiment = tiny_evaluate(storage, data=other)
    resolved = resolve(experiment, storage)
    manifest = Path(storage.address) / "datasets" / resolved.datasets["data"] / "manifest.json"
    (first, *_) = open_data(storage, resolved.datasets["data"], 48).manifest.class_names
    manifest.write_text(manifest.read_text().replace(f'"{first}"', '"another"'))
    with pytest.raises(DataError, match="equal classes"):
        evaluate(resolved, LocalContext(storage))


def test_the_default_set_and_points_are_those_of_the_training(storage: Storage) -> None:
    experiment = tiny_evaluate(storage)
    assert experiment.measured == validate(DatasetConfig, SHAPES, "test")
    assert experiment.points_shown == 48
    assert tiny_evaluate(storage, suite={"severities": list(SEVERITIES)}).divisor == DGCNN
    assert experiment.seed == experiment.classifier.seed
    assert isinstance(tiny_evaluate(storage, classifier=PROBE).classifier, TransferExperiment)
