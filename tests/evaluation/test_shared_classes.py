"""Right answers about a set that shares some classes with the classifier, counted one by one."""

import math
from pathlib import Path

import pytest
import torch

from pointlab.config import read_yaml
from pointlab.data.formats.modelnet import CLASSES_40
from pointlab.data.formats.scanobjectnn import CLASSES
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.evaluation.shared_classes import SharedClasses
from pointlab.experiment.class_map import in_words, shared_classes
from pointlab.transfer.showing import Figures

TARGET = ("bed", "dresser", "wardrobe", "lamp")
SHIFTED = ("bag", "cabinet", "bed")
MAP = {"cabinet": ("dresser", "wardrobe"), "bed": "bed"}


CONFIGS = Path(__file__).parents[2] / "configs/classes"


def shared() -> SharedClasses:
    found = shared_classes(MAP, SHIFTED, TARGET)
    assert found is not None
    return found


def random_answers() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(50, 4, generator=draw), 1 + torch.randint(2, (50,), generator=draw)


def test_a_class_of_several_right_answers_takes_each_and_one_outside_the_map_is_wrong() -> None:
    logits, labels = random_answers()
    right = {1: {1, 2}, 2: {0}}
    named = logits.argmax(1).tolist()
    correct = [answer in right[label] for answer, label in zip(named, labels.tolist(), strict=True)]
    among = logits[:, :3].argmax(1).tolist()  # all but the lamp
    shared_correct = [answer in right[label] for answer, label in zip(among, labels.tolist(), strict=True)]
    figures = shared().metrics(logits, labels)
    assert figures["accuracy"] == pytest.approx(sum(correct) / 50)
    assert figures["shared_accuracy"] == pytest.approx(sum(shared_correct) / 50)
    assert figures["shared_accuracy"] > figures["accuracy"]
    by_class = [
        [hit for hit, label in zip(correct, labels.tolist(), strict=True) if label == asked]
        for asked in (1, 2)
    ]
    expected = sum(sum(hits) / len(hits) for hits in by_class) / 2
    assert figures["mean_class_accuracy"] == pytest.approx(expected)


def test_the_cross_entropy_is_that_of_all_right_answers_together() -> None:
    logits, labels = random_answers()
    right = {1: (1, 2), 2: (0,)}
    total = 0.0
    for row, label in zip(logits.double().softmax(1).tolist(), labels.tolist(), strict=True):
        total -= math.log(sum(row[answer] for answer in right[label]))
    assert shared().cross_entropy(logits, labels) == pytest.approx(total / 50)


def test_a_map_of_equal_classes_gives_the_plain_figures() -> None:
    logits, labels = random_answers()
    same = shared_classes("by_name", TARGET, TARGET)
    assert same is not None
    figures = same.metrics(logits, labels)
    plain = classification_metrics(logits, labels)
    assert {name: figures[name] for name in plain} == plain
    assert figures["shared_accuracy"] == plain["accuracy"]
    head, table = torch.nn.Identity(), FeatureTable(logits, labels)
    mapped, unmapped = Figures.of(head, table, same), Figures.of(head, table)
    assert (mapped.accuracy, mapped.loss) == (unmapped.accuracy, pytest.approx(unmapped.loss))


def test_by_name_shares_what_is_called_alike() -> None:
    found = shared_classes("by_name", SHIFTED, TARGET)
    assert found == SharedClasses(right=((), (), (0,)), num_classes=4)
    assert found.asked == (2,)


def test_the_map_is_told_with_what_is_left_out() -> None:
    told = in_words(shared(), SHIFTED, TARGET)
    assert told == "cabinet as dresser or wardrobe, bed as bed; left out: bag"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"cabinett": "dresser"}, ConfigError, r"no class of the shifted set.*bag, cabinet, bed.*'cabinet'"),
        ({"cabinet": ("dresser", "wardrob")}, ConfigError, r"shifted_classes\.cabinet.*target.*'wardrobe'"),
        ({}, DataError, "No class of the shifted set is shared"),
        (None, DataError, r"equal classes in equal order.*shifted_classes"),
    ],
)
def test_names_that_there_are_not_are_refused_with_those_that_there_are(
    given: dict[str, str] | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        shared_classes(given, SHIFTED, TARGET)


def test_modelnet40_and_scanobjectnn_share_eleven_classes_either_way() -> None:
    real = shared_classes(read_yaml(CONFIGS / "scanobjectnn-by-modelnet40.yaml"), CLASSES, CLASSES_40)
    clean = shared_classes(read_yaml(CONFIGS / "modelnet40-by-scanobjectnn.yaml"), CLASSES_40, CLASSES)
    assert real is not None
    assert clean is not None
    assert {CLASSES[label] for label in real.asked} == {*CLASSES} - {"bag", "bin", "box", "pillow"}
    pairs = {(label, answer) for label in real.asked for answer in real.right[label]}
    assert {(answer, label) for label in clean.asked for answer in clean.right[label]} == pairs


def test_the_map_of_modelnet10_is_that_of_modelnet40_as_far_as_it_goes() -> None:
    few, many = (read_yaml(CONFIGS / f"scanobjectnn-by-modelnet{size}.yaml") for size in (10, 40))
    of_ten = {
        "bathtub",
        "bed",
        "chair",
        "desk",
        "dresser",
        "monitor",
        "night_stand",
        "sofa",
        "table",
        "toilet",
    }

    def answers(names: str | list[str]) -> list[str]:
        return [names] if isinstance(names, str) else names

    kept = {name: [answer for answer in answers(given) if answer in of_ten] for name, given in many.items()}
    assert {name: answers(given) for name, given in few.items()} == {n: kept[n] for n in kept if kept[n]}
