"""What a classifier took for something else: kept with its run, the surest first."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_safetensors

from conftest import tiny_transfer
from pointlab.errors import DamagedError
from pointlab.experiment.classifier import Answers
from pointlab.experiment.mistaken import (
    CLOUDS,
    KIND,
    MAX_MISTAKES,
    TOLD,
    Mistakes,
    publish_mistakes,
    read_mistakes,
)
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.shown import publish_files
from pointlab.launch import run
from pointlab.storage import Storage


def scans(storage: Storage) -> Data:
    name = next(folder for folder in storage.folders("datasets") if folder.rpartition("-")[0] == "scans")
    return open_data(storage, name, 48)


def surely_wrong(data: Data, sure: dict[int, float]) -> Answers:
    """Right answers, but for these rows, which are taken for the next class with these logits."""
    labels = torch.from_numpy(np.array(data.split("validation").labels))
    logits = torch.nn.functional.one_hot(labels, len(data.manifest.class_names)).float()
    for row, logit in sure.items():
        logits[row] = 0
        logits[row, (labels[row] + 1) % logits.shape[1]] = logit
    return Answers(logits, labels)


def kept(storage: Storage, run_name: str) -> Mistakes:
    found = read_mistakes(storage, run_name)
    assert found is not None
    return found.told


def test_the_surest_mistake_comes_first_with_what_was_left_for_the_truth(storage: Storage) -> None:
    data = scans(storage)
    publish_mistakes(storage, "run", surely_wrong(data, {2: 1.0, 5: 3.0}), data, "validation")
    told = kept(storage, "run")
    split, names = data.split("validation"), data.manifest.class_names
    assert [mistake.sample_id for mistake in told.surest] == [split.ids[5], split.ids[2]]
    first, others = told.surest[0], len(names) - 1
    assert first.truth == names[split.labels[5]]
    assert first.answer == names[(split.labels[5] + 1) % len(names)]
    assert first.confidence == pytest.approx(np.exp(3) / (np.exp(3) + others), abs=1e-4)
    assert first.left_for_truth == pytest.approx(1 / (np.exp(3) + others), abs=1e-4)
    assert (told.num_wrong, told.num_clouds, told.split) == (2, len(split), "validation")


def test_clouds_are_those_of_the_mistakes_around_the_middle_of_their_box(storage: Storage) -> None:
    data = scans(storage)
    publish_mistakes(storage, "run", surely_wrong(data, {3: 2.0}), data, "validation")
    found = read_mistakes(storage, "run")
    assert found is not None
    points = data.split("validation").arrays(3, ("points",))["points"]
    (cloud,) = found.clouds
    np.testing.assert_allclose(cloud, points - (points.min(0) + points.max(0)) / 2, atol=2e-3)


def test_confusions_are_counted_over_all_mistakes(storage: Storage) -> None:
    data = scans(storage)
    labels = data.split("validation").labels
    rows = {int(row): 1.0 for row in range(len(labels))}
    publish_mistakes(storage, "run", surely_wrong(data, rows), data, "validation")
    told = kept(storage, "run")
    assert told.num_wrong == len(labels)
    assert len(told.surest) == min(MAX_MISTAKES, len(labels))
    most = max(np.bincount(labels))
    assert told.confusions[0].count == most


def test_a_classifier_without_mistakes_shows_none(storage: Storage) -> None:
    data = scans(storage)
    publish_mistakes(storage, "run", surely_wrong(data, {}), data, "validation")
    told = kept(storage, "run")
    assert (told.num_wrong, told.surest, told.confusions) == (0, (), ())
    assert read_mistakes(storage, "another") is None


@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_wrong_and_not_sure(storage: Storage, wild: float) -> None:
    data = scans(storage)
    publish_mistakes(storage, "run", surely_wrong(data, {1: wild, 4: 2.0}), data, "validation")
    told = kept(storage, "run")
    assert told.num_wrong == 2
    assert [mistake.sample_id for mistake in told.surest] == [data.split("validation").ids[4]]
    assert sum(confusion.count for confusion in told.confusions) == 1


def test_mistakes_that_are_not_understood_are_damage(storage: Storage) -> None:
    empty = save_safetensors({"00": np.zeros((1, 3), np.float16)})
    publish_files(storage, "run", KIND, {TOLD: b"{}", CLOUDS: empty})
    with pytest.raises(DamagedError, match=r"runs/run/shown does not tell mistakes.*--rerun"):
        read_mistakes(storage, "run")


@pytest.mark.parametrize(("is_tested", "split"), [(True, "test"), (False, "validation")])
def test_a_transfer_keeps_the_mistakes_of_what_it_may_read(
    storage: Storage, is_tested: bool, split: str
) -> None:
    record = run(tiny_transfer(storage, protocol="linear_probe", test=is_tested, shifted=None)).record
    told = kept(storage, record.run)
    assert told.split == split
    accuracy = record.metrics["test/accuracy" if is_tested else "validation/accuracy"]
    assert told.num_wrong == round((1 - accuracy) * told.num_clouds)
