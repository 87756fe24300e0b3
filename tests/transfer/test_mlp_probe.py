"""Every member of a grid of MLPs is what it would be alone, and the best on validation is kept."""

import copy
import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable
from pointlab.objectives import HeadConfig, build_head
from pointlab.objectives.heads import Head
from pointlab.seeding import generator
from pointlab.transfer import MlpProbeConfig, fit_mlp_probes, mlp_probe, predict
from pointlab.transfer.mlp_probe import Member, Training, train_grid
from pointlab.transfer.side_by_side import Learning

CPU = torch.device("cpu")
BRIEF = MlpProbeConfig(epochs=5, batch_size=8)
LEARNING = [Learning(rate, decay) for rate, decay in product((1e-3, 1e-2), (0.0, 0.5))]


def table(num_features: int = 6, num: int = 37, seed: int = 0) -> FeatureTable:
    """Clouds of three classes; features differ in scale, are not centred, and the last does not vary."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 3
    centres = torch.randn(3, num_features, generator=draw)
    features = centres[labels] + torch.randn(num, num_features, generator=draw)
    features = features * torch.logspace(-1, 1, num_features) + 3
    features[:, -1] = 7
    return FeatureTable(features, labels)


def start(num_features: int = 6, dropout: float = 0.5) -> Head:
    torch.manual_seed(1)
    return build_head(HeadConfig(hidden_widths=(8, 8), dropout=dropout), num_features, 3)


def training(config: MlpProbeConfig = BRIEF, seed: int = 0) -> Training:
    return Training(config, seed, CPU, label_smoothing=0.1)


def naively(data: FeatureTable, head: Head, learning: Learning) -> torch.Tensor:
    """What the head says of the clouds after it was trained on standardised features, by torch alone."""
    features = data.features.double()
    rows = ((features - features.mean(0)) / features.std(0).clamp_min(1e-9)).float()
    head = copy.deepcopy(head).train()
    before_normalisation = {head[0].bias, head[4].bias}  # their gradients are rounding and nothing else
    matrices = [weight for weight in head.parameters() if weight.ndim > 1]
    others = [w for w in head.parameters() if w.ndim == 1 and w not in before_normalisation]
    groups = [{"params": matrices, "weight_decay": learning.weight_decay}, {"params": others}]
    optimiser = torch.optim.AdamW(groups, lr=learning.learning_rate, weight_decay=0.0)
    permuted = [generator(0, "mlp_probe", epoch).permutation(len(rows)) for epoch in range(BRIEF.epochs)]
    batches = [batch for order in permuted for batch in np.array_split(order, len(rows) // BRIEF.batch_size)]
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning.learning_rate * (1 + math.cos(math.pi * step / len(batches))) / 2
        optimiser.zero_grad()
        F.cross_entropy(head(rows[batch]), data.labels[batch], label_smoothing=0.1).backward()
        optimiser.step()
    return predict(head, rows)


@pytest.mark.parametrize("learning", LEARNING)
def test_a_member_is_the_head_that_torch_trains_alone_on_standardised_features(learning: Learning) -> None:
    data, head = table(), start(dropout=0.0)
    members = [Member(0, each) for each in LEARNING]
    found = train_grid([data], [head], members, training())[LEARNING.index(learning)]
    assert torch.allclose(predict(found, data.features), naively(data, head, learning), atol=1e-5)


def test_a_member_is_what_it_is_alone_whatever_others_learn_and_read() -> None:
    tables, starts = [table(6), table(4, seed=1)], [start(6), start(4)]
    members = [Member(*each) for each in product(range(2), LEARNING)]
    together = train_grid(tables, starts, members, training())
    for member, head in zip(members, together, strict=True):
        of_table = slice(member.table, member.table + 1)
        (alone,) = train_grid(tables[of_table], starts[of_table], [Member(0, member.learning)], training())
        assert isinstance(head[0], nn.Linear)
        assert head[0].in_features == tables[member.table].features.shape[1]
        shown = tables[member.table].features
        assert torch.allclose(predict(head, shown), predict(alone, shown), atol=1e-5)


def test_a_grid_that_is_trained_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member(0, each) for each in LEARNING]
    heard: list[tuple[int, int]] = []
    watched = Training(BRIEF, 0, CPU, watch=lambda done, total: heard.append((done, total)))
    whole = train_grid([table()], [start()], members, watched)
    assert heard == [(epoch, 5) for epoch in range(6)]
    monkeypatch.setattr(mlp_probe, "MOST_BYTES", 1)
    heard.clear()
    for one, other in zip(train_grid([table()], [start()], members, watched), whole, strict=True):
        shown = table().features
        assert torch.allclose(predict(one, shown), predict(other, shown), atol=1e-5)
    assert heard[-1] == (20, 20)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_equal_seeds_make_equal_bits_and_leave_torch_s_draws_alone() -> None:
    head, member = start(), [Member(0, LEARNING[0])]
    torch.manual_seed(5)
    one, other, third = (train_grid([table()], [head], member, training(seed=seed))[0] for seed in (0, 0, 1))
    drawn = torch.rand(3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one[8].weight, third[8].weight)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)


def test_the_settings_are_chosen_on_validation_and_of_equals_most_decay_and_the_lowest_rate() -> None:
    config = MlpProbeConfig(learning_rates=(3e-2, 1e-6), weight_decays=(0.0, 0.1), epochs=20, batch_size=8)
    data = table(num=60)
    (chosen,) = fit_mlp_probes([data], [data], [start()], training(config))
    assert chosen.settings["learning_rate"] == 3e-2
    assert chosen.accuracy > 0.8
    still = MlpProbeConfig(learning_rates=(2e-9, 1e-9), weight_decays=(0.0, 0.1), epochs=1)
    (chosen,) = fit_mlp_probes([data], [data], [start()], training(still))
    assert chosen.settings == {"learning_rate": 1e-9, "weight_decay": 0.1}


def test_each_feature_has_a_choice_of_its_own() -> None:
    good, noise = table(num=60), FeatureTable(torch.randn(60, 4), torch.arange(60) % 3)
    config = MlpProbeConfig(learning_rates=(3e-2,), weight_decays=(0.0,), epochs=20, batch_size=8)
    fresh = FeatureTable(torch.randn(60, 4), noise.labels)
    found = fit_mlp_probes([good, noise], [good, fresh], [start(6), start(4)], training(config))
    assert found[0].accuracy > found[1].accuracy


@pytest.mark.parametrize("spoil", ["single", "unlabelled"])
def test_clouds_that_teach_nothing_are_refused(spoil: str) -> None:
    data = table(num=1 if spoil == "single" else 9)
    data = FeatureTable(data.features, data.labels - int(spoil == "unlabelled"))
    with pytest.raises(DataError, match=r"met 1 training cloud|without a label"):
        fit_mlp_probes([data], [data], [start()], training())
