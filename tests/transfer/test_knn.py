"""Nearest neighbours vote as they would one by one, and their number and metric are chosen on validation."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable
from pointlab.transfer import KnnConfig, fit_knn, knn, predict
from pointlab.transfer.knn import KnnHead, Metric, empty_knn, is_knn


def table(num: int = 40, seed: int = 0) -> FeatureTable:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 3
    centres = torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
    return FeatureTable(centres[labels] + torch.randn(num, 5, generator=draw), labels)


def naively(known: FeatureTable, query: Tensor, count: int, metric: Metric) -> int:
    """The label of most of the nearest clouds; of equally many votes, that of the nearer ones in sum."""
    pairs = []
    for feature, label in zip(known.features, known.labels.tolist(), strict=True):
        cosine = float(feature @ query / (feature.norm() * query.norm()))
        nearness = cosine if metric == "cosine" else 2 / (1 + float((feature - query).norm())) - 1
        pairs.append((nearness, label))
    nearest = sorted(pairs, reverse=True)[:count]
    votes = Counter(label for _, label in nearest)
    return max(votes, key=lambda label: (votes[label], sum(near for near, own in nearest if own == label)))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("count", [1, 4, 40])
def test_the_nearest_vote_as_they_would_one_by_one(
    count: int, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn, "ROWS_TOGETHER", 7)
    known, shown = table(), table(30, seed=1).features
    answers = predict(KnnHead(known, 3, count, metric), shown).argmax(1).tolist()
    assert answers == [naively(known, query, count, metric) for query in shown]


def test_the_softmax_of_scores_is_the_share_of_the_votes() -> None:
    known, shown = table(), table(30, seed=1).features
    shares = predict(KnnHead(known, 3, 10, "cosine"), shown).softmax(1)
    for query, share in zip(shown, shares, strict=True):
        cosines = torch.cosine_similarity(known.features, query[None])
        voters = known.labels[cosines.topk(10).indices]
        counted = torch.bincount(voters, minlength=3).double() / 10
        assert torch.allclose(share, counted, atol=0.06)  # nearness adds half a vote at most, of ten


def test_the_number_and_the_metric_are_chosen_on_validation() -> None:
    known, shown = table(), table(60, seed=1)
    config = KnnConfig(num_neighbours=(1, 3, 9), metrics=("cosine", "euclidean"))
    said = {
        (count, metric): predict(KnnHead(known, 3, count, metric), shown.features).argmax(1)
        for count in config.num_neighbours
        for metric in config.metrics
    }
    for (count, metric), labels in said.items():
        chosen = fit_knn(known, FeatureTable(shown.features, labels), 3, config)
        assert chosen.accuracy == 1
        assert torch.equal(predict(chosen.head, shown.features).argmax(1), labels)
        assert chosen.settings == {"num_neighbours": count, "metric": metric}


def test_of_equals_the_most_voters_are_taken_and_the_first_metric() -> None:
    far = FeatureTable(torch.tensor([[9.0, 0], [9, 1], [0, 9], [1, 9]]), torch.tensor([0, 0, 1, 1]))
    chosen = fit_knn(far, far, 2, KnnConfig(num_neighbours=(1, 2), metrics=("euclidean", "cosine")))
    assert chosen.settings == {"num_neighbours": 2, "metric": "euclidean"}


def test_a_head_is_read_back_from_its_tensors_alone() -> None:
    head, shown = KnnHead(table(), 3, 4, "cosine"), table(20, seed=1).features
    state = head.state_dict()
    assert is_knn(state)
    again = empty_knn(state)
    again.load_state_dict(state)
    assert torch.equal(predict(again, shown), predict(head, shown))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_of_equally_near_clouds_the_first_vote_however_many_are_asked(metric: Metric) -> None:
    copies = FeatureTable(table(8).features.repeat(5, 1), torch.arange(40) % 3)
    shown, head = table(30, seed=1).features, KnnHead(copies, 3, 1, metric)
    _, most = head.nearest(shown, 23)
    places = torch.arange(40).view(5, 8)  # of each cloud, where its copies are
    for query, rows in zip(shown, most, strict=True):
        nearness = torch.stack([_nearness(copies.features[row], query, metric) for row in range(8)])
        order = nearness.argsort(descending=True)
        assert torch.equal(rows, places[:, order].T.flatten()[:23])
    for count in (1, 3, 7, 12):
        assert torch.equal(head.nearest(shown, count)[1], most[:, :count])
        alone = torch.cat([head.nearest(query[None], count)[1] for query in shown])
        assert torch.equal(alone, most[:, :count])


def _nearness(feature: Tensor, query: Tensor, metric: Metric) -> Tensor:
    feature, query = feature.double(), query.double()
    return -(feature - query).norm() if metric == "euclidean" else torch.cosine_similarity(feature, query, 0)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_clouds_far_from_zero_and_close_to_each_other_are_told_apart(metric: Metric) -> None:
    direction = torch.tensor([300.0, 400.0, 0, 0])
    around = torch.tensor([0.0, 0, 1, 0]) * torch.arange(50)[:, None] * 1e-2
    known = FeatureTable(direction + around, torch.arange(50) % 3)
    nearness, rows = KnnHead(known, 3, 3, metric).nearest(known.features, 1)
    assert torch.equal(rows[:, 0], torch.arange(50))
    assert torch.equal(nearness, torch.ones(50, 1, dtype=torch.float64))


def test_voters_that_there_are_too_few_clouds_for_are_left_out() -> None:
    config = KnnConfig(num_neighbours=(41, 5, 40))
    assert config.possible(40) == (40, 5)
    few = KnnConfig(num_neighbours=(5, 40))
    chosen, expected = (fit_knn(table(), table(60, seed=1), 3, asked) for asked in (config, few))
    assert chosen.settings == expected.settings


def test_more_voters_than_clouds_and_clouds_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"41 nearest neighbours were asked of 40 clouds.*lower knn"):
        fit_knn(table(), table(), 3, KnnConfig(num_neighbours=(41,)))
    unlabelled = FeatureTable(table().features, table().labels - 1)
    with pytest.raises(DataError, match="A vote of nearest neighbours met a cloud without a label"):
        fit_knn(unlabelled, table(), 3, KnnConfig())
