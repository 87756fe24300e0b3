"""Probes solved together are each the optimum that they would be alone."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import FeatureTable
from pointlab.transfer import ProbeConfig, fit_probe, fit_probes, predict
from pointlab.transfer.probe import TOLERANCE, solve

PENALTIES = (0.1, 0.01, 0.001)


def table(num: int = 90, num_features: int = 6, seed: int = 0) -> FeatureTable:
    """Clouds of three classes that overlap; features differ in scale and are not centred."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 3
    centres = torch.randn(3, num_features, generator=draw)
    features = centres[labels] + 1.5 * torch.randn(num, num_features, generator=draw)
    return FeatureTable(features * torch.logspace(-1, 1, num_features) + 3, labels)


def standardised(data: FeatureTable) -> torch.Tensor:
    features = data.features.double()
    return (features - features.mean(0)) / features.std(0)


@pytest.mark.parametrize("shape", [(90, 6), (24, 40)])
def test_a_probe_is_at_the_optimum_of_the_objective_that_it_states(shape: tuple[int, int]) -> None:
    data = table(*shape)
    (layers,) = solve([data], PENALTIES, 3, 100)
    for penalty, layer in zip(PENALTIES, layers, strict=True):
        features, deviation = standardised(data), data.features.double().std(0)
        weights = (layer.weight.double() * deviation).requires_grad_()
        bias = layer.bias.double() + layer.weight.double() @ data.features.double().mean(0)
        bias = bias.detach().requires_grad_()
        loss = F.cross_entropy(features @ weights.T + bias, data.labels)
        (loss + penalty / 2 * weights.square().sum()).backward()
        assert weights.grad is not None
        assert bias.grad is not None
        rounding = 2e-6  # of the layer, which is in float32
        assert float(torch.cat([weights.grad.flatten(), bias.grad]).norm()) < TOLERANCE + rounding


@pytest.mark.parametrize("shape", [(90, 6), (24, 40)])
def test_a_probe_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    data = table(*shape)
    (layers,) = solve([data], PENALTIES, 3, 100)
    features, labels = standardised(data).numpy(), data.labels.numpy()
    for penalty, layer in zip(PENALTIES, layers, strict=True):
        theirs = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-9, max_iter=10_000)
        expected = torch.from_numpy(theirs.fit(features, labels).predict_proba(features))
        assert torch.allclose(predict(layer, data.features).double().softmax(1), expected, atol=2e-5)


def test_what_a_probe_is_does_not_depend_on_the_others() -> None:
    tables = [table(), table(24, 40, seed=1), table(60, 6, seed=2)]
    together = solve(tables, PENALTIES, 3, 100)
    for data, layers in zip(tables, together, strict=True):
        for penalty, layer in zip(PENALTIES, layers, strict=True):
            ((alone,),) = solve([data], [penalty], 3, 100)
            assert torch.allclose(predict(layer, data.features), predict(alone, data.features), atol=1e-4)


def test_equal_tables_make_equal_bits() -> None:
    one, other = (solve([table()], PENALTIES, 3, 100)[0][0] for _ in range(2))
    assert torch.equal(one.weight, other.weight)


def test_many_probes_choose_as_each_does_alone() -> None:
    tables = [table(seed=seed) for seed in range(3)]
    shown = [table(30, seed=seed + 10) for seed in range(3)]
    config = ProbeConfig(penalties=PENALTIES)
    for row, layer in enumerate(fit_probes(tables, shown, 3, config)):
        alone = fit_probe(tables[row], shown[row], 3, config)
        assert torch.allclose(layer.weight, alone.weight, atol=1e-4)


def test_groups_that_bound_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from pointlab.transfer import probe

    tables = [table(seed=seed) for seed in range(3)]
    together = solve(tables, PENALTIES, 3, 100)
    monkeypatch.setattr(probe, "MOST_BYTES", 1)
    for ones, others in zip(together, solve(tables, PENALTIES, 3, 100), strict=True):
        assert all(torch.allclose(a.weight, b.weight, atol=1e-4) for a, b in zip(ones, others, strict=True))


def test_a_solver_that_is_stopped_early_says_so(caplog: pytest.LogCaptureFixture) -> None:
    solve([table()], PENALTIES, 3, 1)
    assert "3 of 3 probes did not reach their optimum in 1 iterations" in caplog.text


def test_a_single_penalty_needs_no_validation_and_several_do() -> None:
    alone = fit_probe(table(), None, 3, ProbeConfig(penalties=(0.01,)))
    assert torch.equal(alone.weight, fit_probe(table(), table(30), 3, ProbeConfig(penalties=(0.01,))).weight)
    with pytest.raises(ConfigError, match="There are 4 penalties"):
        fit_probe(table(), None, 3, ProbeConfig())


def test_a_cloud_alone_is_refused() -> None:
    with pytest.raises(DataError, match=r"A linear probe met 1 training cloud.*raise samples_per_class"):
        fit_probes([table(), table(1)], [table(30), table(30)], 3, ProbeConfig())


def test_clouds_without_labels_are_refused() -> None:
    unlabelled = FeatureTable(table().features, table().labels - 1)
    with pytest.raises(DataError, match="A linear probe met a cloud without a label"):
        fit_probe(unlabelled, table(), 3, ProbeConfig())
