"""A linear SVM is scikit-learn's, as a layer; its C is chosen on validation, and nothing is drawn."""

import warnings

import pytest
import torch
from sklearn.svm import LinearSVC
from torch import Tensor

from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable
from pointlab.transfer import SvmConfig, fit_svm, predict


def table(labels: list[int], num: int = 90) -> FeatureTable:
    """Clouds of classes that overlap, with a feature that is larger than the others."""
    draw = torch.Generator().manual_seed(0)
    chosen = torch.tensor(labels)[torch.randint(len(labels), (num,), generator=draw)]
    centres = torch.randn(8, 5, generator=draw)
    features = centres[chosen] + torch.randn(num, 5, generator=draw)
    return FeatureTable(features * torch.tensor([1, 3, 0.3, 1, 1]) + 1, chosen)


def answers(scores: Tensor) -> list[int]:
    return scores.argmax(1).tolist()


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 3], [0, 1]])
def test_the_layer_answers_as_the_machine_does_whatever_classes_there_are(labels: list[int]) -> None:
    train, shown = table(labels), 3 * torch.randn(200, 5)
    machine = LinearSVC(C=0.075, dual=False, max_iter=10_000)
    machine.fit(train.features.double().numpy(), train.labels.numpy())
    svm = fit_svm(train, None, 5, SvmConfig(strengths=(0.075,)))
    assert svm.layer.weight.shape == (5, 5)
    assert answers(predict(svm.layer, shown)) == machine.predict(shown.double().numpy()).tolist()
    again = fit_svm(train, None, 5, SvmConfig(strengths=(0.075,)))
    assert torch.equal(again.layer.weight, svm.layer.weight)
    assert svm.has_converged


def test_the_strength_is_chosen_on_validation_and_of_equals_the_smallest() -> None:
    train, config = table([0, 1, 2]), SvmConfig(strengths=(1.0, 1e-5, 0.9))
    single = {c: fit_svm(train, None, 3, SvmConfig(strengths=(c,))) for c in config.strengths}
    said = {c: predict(svm.layer, train.features).argmax(1) for c, svm in single.items()}
    assert not torch.equal(said[1.0], said[1e-5])
    for best, expected in ((1.0, 0.9), (1e-5, 1e-5)):
        assert torch.equal(said[best], said[expected])
        chosen = fit_svm(train, FeatureTable(train.features, said[best]), 3, config)
        assert chosen.strength == expected
        assert torch.equal(chosen.layer.weight, single[expected].layer.weight)


def test_a_solver_that_is_stopped_early_is_told_and_makes_no_noise() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svm = fit_svm(table([0, 1, 2]), None, 3, SvmConfig(max_iterations=1))
    assert not svm.has_converged


@pytest.mark.parametrize(("labels", "message"), [([-1, 0], "without a label"), ([1], "the class 1 alone")])
def test_clouds_that_teach_no_difference_are_refused(labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_svm(table(labels), None, 3, SvmConfig())
