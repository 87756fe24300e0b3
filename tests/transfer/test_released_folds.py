"""Few-shot on folds that a set brings along, from files in the layout of the release to the record."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import BACKBONE, tiny_transfer
from data.formats.written_objects import clouds, write_pickle
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment
from pointlab.launch import run
from pointlab.storage import Storage

SHOTS, QUERIES = 10, 2


def classes_of(fold: int) -> list[int]:
    """Five of the forty, in no order, others in each fold."""
    return [(3 * fold + 7 * place) % 40 for place in range(5)]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten files of five classes, each class with ten training and two test clouds."""
    root = tmp_path_factory.mktemp("released")
    for fold in range(10):
        content: dict[str, list[tuple[np.ndarray, int, int]]] = {}
        for split, each in enumerate((SHOTS, QUERIES)):
            labels = np.repeat(np.arange(5), each).tolist()
            drawn = clouds(len(labels), 2 * fold + split, num_points=64)
            samples = zip(drawn, labels, strict=True)
            content["test" if split else "train"] = [(c, n, classes_of(fold)[n]) for c, n in samples]
        write_pickle(root / f"5way_10shot/{fold}.pkl", content)
    return root


def on_released(storage: Storage, root: Path, **changes: Any) -> TransferExperiment:
    data = {
        "name": "folds",
        "source": {"kind": "modelnet_fewshot", "fold": None},
        "root": str(root),
        "num_points": 64,
        "validation_fraction": 0,
    }
    settings: dict[str, Any] = {
        "protocol": "few_shot",
        "pretrained": None,
        "backbone": BACKBONE,
        "data": data,
        "shifted": None,
    }
    return tiny_transfer(storage, **(settings | changes))


def test_the_figures_are_over_the_released_folds_and_all_their_queries(
    storage: Storage, released: Path
) -> None:
    record = run(on_released(storage, released)).record
    assert record is not None
    rows = record.curves["folds"]
    assert [row["fold"] for row in rows] == list(range(10))
    for fold, row in enumerate(rows):
        named = [CLASSES_40[label] for label in sorted(classes_of(fold))]
        assert row["classes"] == ", ".join(named)
        correct = float(row["test/accuracy"]) * 5 * QUERIES
        assert correct == pytest.approx(round(correct))
    accuracies = [float(row["test/accuracy"]) for row in rows]
    assert record.metrics["test/accuracy"] == pytest.approx(np.mean(accuracies))
    assert "the released folds" in record.notes["folds"]
    assert "ask about some of them in another fold" in record.notes["BatchNorm"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"few_shot": {"queries": 5}}, "few_shot.queries is 5, but released folds bring"),
        ({"few_shot": {"shots": 5}}, "10, and are 10: set both to the same"),
        ({"test": False}, "expected data.validation_fraction 0, test true"),
        ({"protocol": "full"}, "protocol to few_shot"),
    ],
)
def test_what_released_folds_do_not_go_with_is_refused(
    storage: Storage, released: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        on_released(storage, released, **changes)
