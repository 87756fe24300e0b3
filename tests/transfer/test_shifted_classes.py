"""A shifted set may share some classes with the target: the rest of its clouds is left out, and told."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import tiny_transfer
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import LaunchConfig, TransferExperiment
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import definition
from pointlab.launch import foresee_classes, prepare, resolve, run
from pointlab.seeding import generator
from pointlab.storage import Record, Storage
from pointlab.training import ignore_progress
from pointlab.transfer.sweep import GRID

CLOUDS = {"crate": 5, "lamp": 4, "seat": 6}
"""Clouds of each class and split of the shifted set; the target has lamps, chairs and sofas."""
MAP = {"lamp": "lamp", "seat": ["chair", "sofa"]}


@pytest.fixture
def shifted(tmp_path: Path) -> dict[str, Any]:
    """Settings of a folder of random clouds of these classes."""
    draw = generator("shared classes")
    for name, number in CLOUDS.items():
        for split in ("train", "validation", "test"):
            folder = tmp_path / "others" / name / split
            folder.mkdir(parents=True)
            for place in range(number):
                np.save(folder / f"{place}.npy", draw.normal(size=(64, 3)).astype(np.float32))
    return {
        "name": "others",
        "source": {"kind": "folder", "up_axis": "y"},
        "root": str(tmp_path / "others"),
        "num_points": 64,
    }


def transfer_to(storage: Storage, shifted: dict[str, Any], **changes: Any) -> TransferExperiment:
    settings = {"protocol": "linear_probe", "shifted_classes": MAP, **changes}
    return tiny_transfer(storage, shifted=shifted, **settings)


def finished(experiment: TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def counted(storage: Storage, record: Record, experiment: TransferExperiment) -> dict[str, float]:
    """Test figures of the shifted set, cloud by cloud."""
    classifier = read_classifier(experiment, record.run, storage)
    data = open_data(storage, record.datasets["shifted"], experiment.num_points)
    names, target = data.manifest.class_names, classifier.class_names
    right = {"lamp": {"lamp"}, "seat": {"chair", "sofa"}}
    places = [target.index(name) for name in ("chair", "lamp", "sofa")]
    hits, hits_among_shared = [], []
    for batch in data.batches("test", 1)():
        name = names[int(batch.labels)]
        if name in right:
            with torch.no_grad():
                logits = classifier.head.eval()(classifier.backbone.eval()(batch).pooled)[0]
            hits.append(target[int(logits.argmax())] in right[name])
            best = max(places, key=lambda place: float(logits[place]))
            hits_among_shared.append(target[best] in right[name])
    assert len(hits) == CLOUDS["lamp"] + CLOUDS["seat"]
    shares = {"accuracy": hits, "shared_accuracy": hits_among_shared}
    return {f"shifted-test/{name}": sum(found) / len(found) for name, found in shares.items()}


@pytest.mark.parametrize("protocol", ["full", "linear_probe"])
def test_a_shared_class_is_asked_about_and_others_are_left_out(
    storage: Storage, shifted: dict[str, Any], protocol: str
) -> None:
    experiment = transfer_to(storage, shifted, protocol=protocol)
    record = finished(experiment)
    assert set(experiment.accuracies) <= record.metrics.keys()
    expected = counted(storage, record, experiment)
    assert {name: record.metrics[name] for name in expected} == pytest.approx(expected)
    assert (
        record.metrics["shifted-validation/shared_accuracy"] >= record.metrics["shifted-validation/accuracy"]
    )
    assert record.notes["shifted classes"] == "lamp as lamp, seat as chair or sofa; left out: crate"
    assert record.notes["shifted test clouds"] == "10; 5 of classes that are not shared are left out"


@pytest.mark.parametrize("protocol", ["wise_ft_lp", "soup"])
def test_a_mixture_is_chosen_by_the_main_figure(
    storage: Storage, shifted: dict[str, Any], protocol: str
) -> None:
    ingredients = {"ingredients": [{}, {"training.optimiser.learning_rate": 3e-3}]}
    changes = {
        "wise_ft_lp": {"mixture": {"coefficients": [0.0, 1.0], "selection": "shifted"}},
        "soup": {"mixture": {"coefficients": GRID, "selection": "shifted"}, "soup": ingredients},
    }
    record = finished(transfer_to(storage, shifted, protocol=protocol, test=False, **changes[protocol]))
    assert record.metrics["selection/score"] == record.metrics["shifted-validation/accuracy"]
    assert np.isfinite(record.metrics["shifted-validation/loss"])
    assert not any("test" in name for name in [*record.metrics, *record.notes])


def test_votes_are_about_shared_classes_as_well(storage: Storage, shifted: dict[str, Any]) -> None:
    record = finished(transfer_to(storage, shifted, voting={"votes": 2}))
    assert 0 <= record.metrics["shifted-test/voted_accuracy"] <= 1
    assert "shifted-test/voted_shared_accuracy" in record.metrics


def test_equal_names_are_a_map_too(storage: Storage, shifted: dict[str, Any]) -> None:
    record = finished(transfer_to(storage, shifted, shifted_classes="by_name"))
    assert record.notes["shifted classes"] == "lamp as lamp; left out: crate, seat"
    assert record.notes["shifted validation clouds"].startswith("4; 11 of")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, DataError, "equal classes in equal order"),
        ({"lamps": "lamp"}, ConfigError, r"names 'lamps'.*crate, lamp, seat.*did you mean 'lamp'"),
        ({"seat": ["chair", "armchair"]}, ConfigError, r"shifted_classes\.seat names 'armchair'.*bed, bench"),
    ],
)
def test_names_that_there_are_not_are_told_before_anything_is_trained(
    storage: Storage, shifted: dict[str, Any], given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(transfer_to(storage, shifted, shifted_classes=given))
    assert not storage.exists("runs")


def test_a_split_without_shared_classes_is_no_ground_to_choose_on(
    storage: Storage, shifted: dict[str, Any]
) -> None:
    shutil.rmtree(Path(shifted["root"]) / "lamp" / "validation")
    only_lamps = {"shifted_classes": {"lamp": "lamp"}}
    record = finished(transfer_to(storage, shifted, **only_lamps))
    assert "shifted-test/accuracy" in record.metrics
    assert not any(name.startswith("shifted-validation") for name in record.metrics)
    mixed = transfer_to(storage, shifted, **only_lamps, protocol="wise_ft")
    with pytest.raises(DataError, match=r"validation split of others-\w+ has no cloud of the shared classes"):
        run(mixed)


@pytest.mark.parametrize(("split", "protocol"), [("test", "full"), ("validation", "wise_ft")])
def test_that_no_shared_class_has_clouds_is_told_before_anything_is_trained(
    storage: Storage, shifted: dict[str, Any], split: str, protocol: str
) -> None:
    shutil.rmtree(Path(shifted["root"]) / "lamp" / split)
    with pytest.raises(DataError, match=rf"{split} split of others-\w+ has no cloud of the shared classes"):
        run(transfer_to(storage, shifted, protocol=protocol, shifted_classes={"lamp": "lamp"}))
    assert not storage.exists("runs")


def test_a_dry_run_tells_the_map_once_both_sets_are_prepared(
    storage: Storage, shifted: dict[str, Any]
) -> None:
    experiment = transfer_to(storage, shifted)
    assert foresee_classes(experiment, storage) == {}
    assert experiment.shifted is not None
    prepare(experiment.shifted, storage, LaunchConfig(kind="local"), ignore_progress)
    foretold = foresee_classes(experiment, storage)
    assert foretold == {"crate": "left out", "lamp": "lamp", "seat": "chair or sofa"}
    assert foresee_classes(tiny_transfer(storage), storage) == {}
    with pytest.raises(DataError):
        foresee_classes(experiment.model_copy(update={"shifted_classes": None}), storage)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shifted": None}, "none is given: set shifted"),
        ({"protocol": "few_shot"}, "classes of its folds"),
        (
            {"protocol": "full", "task": "segmentation", "mixture": {"coefficients": GRID}},
            "shifted_classes is set, but task",
        ),
        ({"shifted_classes": "by_names"}, "by_name"),
    ],
)
def test_a_map_that_nothing_reads_is_refused_when_it_is_written(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_transfer(storage, **{"protocol": "linear_probe", "shifted_classes": MAP, **changes})


def test_a_map_is_part_of_what_a_run_is_and_none_is_as_before(
    storage: Storage, shifted: dict[str, Any]
) -> None:
    runs = {
        resolve(transfer_to(storage, shifted, shifted_classes=given), storage).run
        for given in (MAP, "by_name")
    }
    assert len(runs) == 2
    plain = tiny_transfer(storage)
    assert "shifted_classes" not in definition(plain, lambda data: data.recipe())
