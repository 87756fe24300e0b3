"""Mixtures are exact at their ends, BatchNorm is right in between, and frozen means frozen."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from conftest import BACKBONE, tiny_transfer
from pointlab.backbones import Backbone, Features
from pointlab.data.manifest import read_dataset
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError, TransferError
from pointlab.evaluation import FeatureTable, classification_metrics
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.storage import Storage, read_manifest
from pointlab.transfer import (
    Mixture,
    MixtureConfig,
    ProbeConfig,
    choose,
    fit_probe,
    interpolate,
    predict,
    reestimate,
)
from pointlab.transfer.showing import Figures, Showing

CPU = torch.device("cpu")


class Moments(Backbone):
    """A backbone of one linear layer and one BatchNorm over clouds: small enough to check by hand."""

    width, num_features, min_points, stages = 4, 4, 1, ("all",)

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def compute(self, batch: PointBatch, stages: Any) -> dict[str, Features]:
        pooled = self.norm(self.linear(batch.points.mean(1)))
        return {"all": Features(pooled.unsqueeze(1), batch.points[:, :1], pooled)}

    def stage_of(self, parameter_name: str) -> str:
        return "all"


def batches(num: int, size: int = 8) -> list[PointBatch]:
    draw = torch.Generator().manual_seed(3)
    return [
        PointBatch(
            points=torch.randn(size, 5, 3, generator=draw) + 2,
            counts=torch.full((size,), 5),
            ids=torch.arange(size),
            labels=torch.arange(size) % 2,
        )
        for _ in range(num)
    ]


def two_ends() -> tuple[Moments, Moments]:
    torch.manual_seed(0)
    one, other = Moments(), Moments()
    for backbone in (one, other):
        backbone.train()
        for batch in batches(3):
            backbone(batch)
    return one.eval(), other.eval()


@pytest.mark.parametrize(("coefficient", "end"), [(0.0, 0), (1.0, 1)])
def test_the_ends_come_out_exactly(coefficient: float, end: int) -> None:
    """To the byte: with the sign of zeros and the counters of that end."""
    states = [backbone.state_dict() for backbone in two_ends()]
    for state in states:
        state["linear.bias"][0] = -0.0
    states[1]["norm.num_batches_tracked"] += 4
    mixed = interpolate(*states, coefficient)
    for name, tensor in mixed.items():
        assert tensor.numpy().tobytes() == states[end][name].numpy().tobytes(), name


def test_a_mixture_is_the_formula_and_counters_stay_integers() -> None:
    one, other = (backbone.state_dict() for backbone in two_ends())
    other["norm.num_batches_tracked"] += 4
    mixed = interpolate(one, other, 0.3)
    expected = 0.7 * one["linear.weight"] + 0.3 * other["linear.weight"]
    assert torch.allclose(mixed["linear.weight"], expected, atol=1e-7)
    assert torch.equal(mixed["norm.num_batches_tracked"], torch.tensor(7))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.pop("linear.bias"),
        lambda state: state.update(extra=torch.zeros(1)),
        lambda state: state.update({"linear.bias": torch.zeros(7)}),
        lambda state: state.update({"linear.bias": torch.zeros(4, dtype=torch.float64)}),
    ],
)
def test_models_that_do_not_agree_are_refused_by_name(spoil: Any) -> None:
    one, other = (dict(backbone.state_dict()) for backbone in two_ends())
    spoil(other)
    with pytest.raises(TransferError, match=r"linear\.bias|extra"):
        interpolate(one, other, 0.5)


def test_reestimated_statistics_are_the_mean_of_the_batches_own() -> None:
    backbone, _ = two_ends()
    data = batches(4)
    reestimate([backbone], data, CPU)
    values = [backbone.linear(batch.points.mean(1)).detach() for batch in data]
    assert torch.allclose(
        backbone.norm.running_mean, torch.stack([v.mean(0) for v in values]).mean(0), atol=1e-6
    )
    assert torch.allclose(
        backbone.norm.running_var, torch.stack([v.var(0) for v in values]).mean(0), atol=1e-6
    )
    assert not backbone.norm.training
    assert backbone.norm.momentum == 0.1


def test_a_batch_of_one_cloud_counts_where_its_points_vary() -> None:
    """Over clouds one has no variance: such a batch is left out, and statistics of nothing are no success."""

    class PerPoint(Moments):
        def compute(self, batch: PointBatch, stages: Any) -> dict[str, Features]:
            tokens = self.norm(self.linear(batch.points).transpose(1, 2)).transpose(1, 2)
            return {"all": Features(tokens, batch.points, tokens.mean(1))}

    one, single, several = PerPoint(), batches(1, size=1), batches(1, size=2)
    reestimate([one], single, CPU)
    values = one.linear(single[0].points[0]).detach()
    assert torch.allclose(one.norm.running_mean, values.mean(0), atol=1e-6)
    assert torch.allclose(one.norm.running_var, values.var(0), atol=1e-6)
    over_clouds, _ = two_ends()
    reestimate([over_clouds], [*single, *several], CPU)
    assert over_clouds.norm.num_batches_tracked == 1
    with pytest.raises(TransferError, match="BatchNorm has no statistics"):
        reestimate([over_clouds], single, CPU)


def test_reestimation_changes_statistics_and_nothing_else() -> None:
    backbone, _ = two_ends()
    before = copy.deepcopy(backbone.state_dict())
    reestimate([backbone], batches(2), CPU)
    changed = {
        name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}


def test_a_sweep_reads_each_batch_once_whatever_the_number_of_coefficients() -> None:
    from pointlab.transfer.sweep import sweep

    reads = {"train": 0, "validation": 0}

    def counted(split: str) -> Any:
        def go() -> Any:
            for batch in batches(2):
                reads[split] += 1
                yield batch

        return go

    one, other = two_ends()
    mixture = MixtureConfig(coefficients=(0.0, 0.25, 0.5, 0.75, 1.0))
    probe = ProbeConfig(penalties=(0.1,))
    head = nn.Linear(4, 2)
    found = sweep(
        (one, other),
        head,
        counted("train"),
        {"target": Showing((counted("validation"),))},
        num_classes=2,
        mixture=mixture,
        probe=probe,
        device=CPU,
    )
    assert reads == {"train": 4, "validation": 2}  # statistics and features of train, features of validation
    assert [m.coefficient for m in found if m.method == "wise_ft"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert mixture.passes == reads["train"] / reads["validation"]


def table(num: int = 120, num_features: int = 5, num_classes: int = 3) -> FeatureTable:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(num_classes, (num,), generator=draw)
    centres = 2 * torch.randn(num_classes, num_features, generator=draw)
    features = centres[labels] + torch.randn(num, num_features, generator=draw)
    return FeatureTable(features * torch.tensor([1, 10, 0.1, 1, 1]) + 3, labels)


def test_the_probe_solves_the_regression_it_states() -> None:
    data, penalty = table(), 0.05
    layer = fit_probe(data, data, 3, ProbeConfig(penalties=(penalty,), max_iterations=500))
    x = data.features.double().numpy()
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    y = data.labels.numpy()

    def objective(flat: np.ndarray) -> float:
        weights, bias = flat[:15].reshape(3, 5), flat[15:]
        logits = x @ weights.T + bias
        norm = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        return float((norm - logits[np.arange(len(y)), y]).mean() + penalty / 2 * (weights**2).sum())

    solved = minimize(objective, np.zeros(18), tol=1e-10).x
    logits = torch.from_numpy(x @ solved[:15].reshape(3, 5).T + solved[15:])
    probabilities = logits.softmax(1)
    assert torch.allclose(predict(layer, data.features).double().softmax(1), probabilities, atol=2e-4)


def test_the_penalty_is_chosen_on_validation() -> None:
    train = table(num=30)
    validation = FeatureTable(train.features, (train.labels + 1) % 3)  # the worse the fit, the better
    config = ProbeConfig(penalties=(1e-4, 1e4))
    chosen = fit_probe(train, validation, 3, config)
    by_penalty = [fit_probe(train, validation, 3, ProbeConfig(penalties=(p,))) for p in config.penalties]
    scores = [
        classification_metrics(predict(layer, validation.features), validation.labels)["accuracy"]
        for layer in by_penalty
    ]
    assert scores[0] < scores[1]
    assert torch.allclose(chosen.weight, by_penalty[1].weight, atol=1e-4)


def test_metrics_equal_hand_computed_ones() -> None:
    logits = torch.eye(3)[torch.tensor([0, 0, 1, 2, 2, 2])]
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    figures = classification_metrics(logits, labels)
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["mean_class_accuracy"] == pytest.approx((2 / 3 + 0 + 1) / 3)


def mixture(coefficient: float, target: float, shifted: float) -> Mixture:
    figures = {"target": Figures(target, 0.0), "shifted": Figures(shifted, 0.0)}
    return Mixture(coefficient, "wise_ft_lp", Moments(), nn.Identity(), figures)


@pytest.mark.parametrize(("rule", "coefficient"), [("mean", 0.5), ("target", 1.0), ("shifted", 0.0)])
def test_the_stated_rule_chooses(rule: str, coefficient: float) -> None:
    found = [mixture(0.0, 0.5, 0.8), mixture(0.5, 0.8, 0.7), mixture(1.0, 0.9, 0.3)]
    assert choose(found, "wise_ft_lp", rule).coefficient == coefficient


def test_among_equals_the_largest_coefficient_is_chosen() -> None:
    assert choose([mixture(c, 0.5, 0.5) for c in (0.1, 0.7, 0.4)], "wise_ft_lp", "mean").coefficient == 0.7


@pytest.mark.parametrize("coefficients", [(), (0.5, 0.1), (0.1, 0.1), (-0.1,), (1.1,)])
def test_a_grid_that_is_no_grid_is_refused(coefficients: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="coefficients"):
        MixtureConfig(coefficients=coefficients)


@pytest.mark.parametrize("protocol", ["full", "linear_probe", "linear_svm", "wise_ft", "wise_ft_lp"])
def test_every_protocol_runs_to_a_record(storage: Storage, protocol: str) -> None:
    record = run(tiny_transfer(storage, protocol=protocol)).record
    assert record is not None
    assert record.protocol == protocol
    assert {"test/accuracy", "shifted-test/accuracy"} <= record.metrics.keys()
    assert record.parents["pretrained"].startswith("tiny-")


@pytest.mark.parametrize("protocol", ["full", "linear_probe"])
def test_few_labels_are_trained_on_and_stamped(storage: Storage, protocol: str) -> None:
    record = run(tiny_transfer(storage, protocol=protocol, samples_per_class=1)).record
    assert record is not None
    assert record.protocol == f"{protocol}/1-per-class"
    num_classes = len(read_dataset(storage, record.datasets["data"]).class_names)
    epochs = 2 if protocol == "full" else 1
    batch = tiny_transfer(storage).training.batch_size if protocol == "full" else 1
    assert record.samples_seen == -(-num_classes * epochs // batch) * batch


@pytest.mark.parametrize("protocol", ["linear_probe", "linear_svm"])
def test_a_frozen_protocol_leaves_the_bytes_of_the_backbone_as_they_were(
    storage: Storage, protocol: str
) -> None:
    record = run(tiny_transfer(storage, protocol=protocol)).record
    assert record is not None
    before, after = (model_of(storage, run) for run in (record.parents["pretrained"], record.run))
    assert before["backbone.safetensors"] == after["backbone.safetensors"]


def model_of(storage: Storage, run: str) -> dict[str, str]:
    """The hash of each file of the model that a run left."""
    manifest = read_manifest(storage, f"runs/{run}/model")
    assert manifest is not None
    return {name: file.sha256 for name, file in manifest.files.items()}


def test_random_weights_are_probed_with_statistics_of_the_targets_clouds(storage: Storage) -> None:
    record = run(tiny_transfer(storage, pretrained=None, backbone=BACKBONE, protocol="linear_probe")).record
    assert record is not None
    weights = read_module(storage, record.run, "backbone")
    assert int(weights["embedder.local.1.num_batches_tracked"]) > 0
    assert float(weights["embedder.local.1.running_var"].max()) < 0.5  # it begins at 1
    assert "random weights" in record.notes["BatchNorm"]


@pytest.mark.parametrize("protocol", ["full", "linear_probe", "wise_ft_lp"])
def test_no_choice_depends_on_the_test_splits(
    storage: Storage, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the step nor the penalty nor the coefficient: what is stored is the same, to the byte."""
    from pointlab.data import cache

    first = run(tiny_transfer(storage, protocol=protocol)).record
    read_split = cache.CachedSplit.__init__

    def with_wrong_test_labels(self: Any, folder: Path, *others: Any) -> None:
        read_split(self, folder, *others)
        if folder.name == "test":
            self.labels = (self.labels + 1) % 16

    monkeypatch.setattr(cache.CachedSplit, "__init__", with_wrong_test_labels)
    second = run(tiny_transfer(storage, protocol=protocol), rerun=True).record
    assert first is not None
    assert second is not None
    choices = [{k: v for k, v in r.metrics.items() if "test" not in k} for r in (first, second)]
    assert choices[0] == choices[1]
    assert first.curves == second.curves
    assert model_of(storage, first.run) == model_of(storage, second.run)
    assert first.metrics["test/accuracy"] != second.metrics["test/accuracy"]


def test_without_test_the_test_splits_stay_closed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    from pointlab.experiment import prepared_data

    opened: list[str] = []
    open_split = prepared_data.open_split

    def watched(store: Storage, dataset: str, split: str) -> Any:
        opened.append(split)
        return open_split(store, dataset, split)

    monkeypatch.setattr(prepared_data, "open_split", watched)
    record = run(tiny_transfer(storage, test=False)).record
    assert record is not None
    assert "validation" in opened
    assert "test" not in opened
    assert not any(name.startswith(("test/", "shifted-test/")) for name in record.metrics)


def test_classes_that_differ_between_target_and_shifted_are_refused(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointlab.experiment import prepared_data

    read = prepared_data.read_dataset

    def renamed(store: Storage, dataset: str) -> Any:
        manifest = read(store, dataset)
        return manifest.model_copy(update={"class_names": ("a", "b")}) if "sparse" in dataset else manifest

    monkeypatch.setattr(prepared_data, "read_dataset", renamed)
    with pytest.raises(DataError, match="equal classes"):
        run(tiny_transfer(storage))


def test_an_architecture_must_come_from_one_place(storage: Storage) -> None:
    with pytest.raises(ConfigError, match="either pretrained"):
        tiny_transfer(storage, pretrained=None)
