"""One pass feeds every measure, nothing of a checkpoint changes, and figures do not depend on the batches."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest
import torch
from torch import nn

from backbones.tiny import TINY
from pointlab.analysis import Analysis, AnalysisConfig, Subject, analyse
from pointlab.analysis.embedding import embed
from pointlab.analysis.probes import held_out, neighbour_accuracy
from pointlab.backbones import Backbone, Features, build_backbone
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError, PointlabError, TransferError
from pointlab.evaluation import FeatureTable

CPU = torch.device("cpu")
NUM_CLASSES = 2
CONFIG = AnalysisConfig(num_neighbours=5, similarity_clouds=4, embedding_stages="none")
DRAWN = CONFIG.model_copy(update={"embedding_stages": "last", "embedding_clouds": 9})


class Toy(Backbone):
    """A linear layer and a BatchNorm of points, then a layer of their maximum: a stage of each kind."""

    stages, widths, num_features, min_points = ("points", "cloud"), (5, 4), 4, 1
    global_stages, point_stages = ("cloud",), ("points",)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.early, self.norm, self.late = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 4)
        nn.init.uniform_(self.norm.running_mean)

    def compute(self, batch: PointBatch, stages: AbstractSet[str]) -> dict[str, Features]:
        is_real = torch.arange(batch.points.shape[1]) < batch.counts[:, None]
        rows = self.norm(self.early(batch.points).transpose(1, 2)).transpose(1, 2) * is_real[..., None]
        pooled = rows.masked_fill(~is_real[..., None], -torch.inf).amax(1)
        cloud = self.late(pooled)
        found = {
            "points": Features(rows, batch.points, pooled),
            "cloud": Features(cloud.unsqueeze(1), batch.points[:, :1], cloud),
        }
        return {stage: found[stage] for stage in stages}

    def stage_of(self, parameter: str) -> str:
        return "cloud" if parameter.startswith("late") else "points"


class Counted:
    """Batches that remember how often they were gone through."""

    def __init__(self, batches: list[PointBatch]) -> None:
        self.batches, self.passes = batches, 0

    def __iter__(self) -> Iterator[PointBatch]:
        self.passes += 1
        return iter(self.batches)


def clouds(number: int, seed: int) -> PointBatch:
    """Clouds of two classes, wide and narrow, whose lengths differ."""
    draw = torch.Generator().manual_seed(seed)
    labels, counts = torch.arange(number) % NUM_CLASSES, torch.randint(4, 9, (number,), generator=draw)
    points = torch.randn(number, 8, 3, generator=draw) * (1 + labels[:, None, None])
    points[torch.arange(8) >= counts[:, None]] = 0
    normals = nn.functional.normalize(torch.randn(number, 8, 3, generator=draw), dim=2)
    return PointBatch(points, counts, torch.arange(number) * 7919 % 104729, labels, normals)


def in_batches(whole: PointBatch, size: int, *, normals: bool = True) -> Counted:
    parts = [slice(first, first + size) for first in range(0, len(whole), size)]
    assert whole.labels is not None
    assert whole.normals is not None
    return Counted(
        [
            PointBatch(
                whole.points[part],
                whole.counts[part],
                whole.ids[part],
                whole.labels[part],
                whole.normals[part] if normals else None,
            )
            for part in parts
        ]
    )


FIT, SCORE = clouds(40, seed=1), clouds(18, seed=2)


def subject(name: str = "toy", seed: int = 0) -> Subject:
    backbone = Toy(seed)
    return Subject(name, backbone, nn.Linear(4, NUM_CLASSES))


def analysed(
    subjects: list[Subject], size: int = 8, config: AnalysisConfig = CONFIG, *, normals: bool = True
) -> Analysis:
    fit, score = in_batches(FIT, size, normals=normals), in_batches(SCORE, size, normals=normals)
    return analyse(subjects, fit, score, num_classes=NUM_CLASSES, config=config, device=CPU)


@pytest.fixture(scope="module")
def both() -> Analysis:
    """Two subjects, the second fine-tuned from the first."""
    first, second = subject("before", 0), subject("after", 1)
    tuned = replace(second, start=first.backbone.state_dict(), started_as="before")
    return analysed([first, tuned], config=DRAWN)


def test_every_iterable_is_gone_through_once_for_all_subjects() -> None:
    fit, score = in_batches(FIT, 8), in_batches(SCORE, 8)
    subjects = [subject("one", 0), subject("other", 1)]
    config = CONFIG.model_copy(update={"measures": ("gradients", "ranks")})
    found = analyse(subjects, fit, score, num_classes=NUM_CLASSES, config=config, device=CPU)
    assert (fit.passes, score.passes) == (1, 1)
    assert (found.num_fit, found.num_score) == (40, 18)


def test_there_is_a_row_for_every_stage_with_what_exists_of_it(both: Analysis) -> None:
    common = {"subject", "stage", "depth", "width", "channels", "linear_accuracy", "knn_accuracy"}
    common |= {"head", "gradient_norm", "relative_gradient_norm", "rankme", "effective_rank"}
    tuned = {"drift", "started_as"}
    extra = [{"normal_error"}, set(), {"normal_error"} | tuned, tuned]
    assert [set(row) for row in both.stages] == [common | more for more in extra]
    assert [(row["stage"], row["depth"], row["width"], row["channels"]) for row in both.stages[:2]] == [
        ("points", 0, 5, 10),
        ("cloud", 1, 4, 4),
    ]


def test_similarities_are_of_all_pairs_within_and_between_subjects(both: Analysis) -> None:
    pairs = [(row["subject_a"], row["subject_b"]) for row in both.cka]
    assert {pair: pairs.count(pair) for pair in pairs} == {
        ("before", "before"): 4,
        ("before", "after"): 4,
        ("after", "after"): 4,
    }
    of_itself = [row["value"] for row in both.cka if row["subject_a"] == row["subject_b"]]
    assert of_itself[0] == pytest.approx(1)
    assert of_itself[1] == pytest.approx(of_itself[2])


def test_the_drawing_is_of_the_last_stage_and_of_clouds_evenly_chosen(both: Analysis) -> None:
    assert {row["stage"] for row in both.embedding} == {"cloud"}
    assert [row["id"] for row in both.embedding[:9]] == [str(id_) for id_ in SCORE.ids[::2].tolist()]


def test_collapsed_features_are_drawn_as_one_place_and_others_equally_each_time() -> None:
    assert embed(torch.full((10, 3), 0.1), 30.0).tolist() == [[0, 0]] * 10
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)) * 1e-9 + 1e-8
    assert embed(features, 30.0).tolist() == embed(features, 30.0).tolist()


def test_a_single_channel_can_be_drawn() -> None:
    assert embed(torch.linspace(0, 1, 8)[:, None], 2.0).shape == (8, 2)


def test_drift_is_the_relative_distance_of_a_stages_weights(both: Analysis) -> None:
    now, start = (torch.cat([p.detach().flatten() for p in Toy(seed).late.parameters()]) for seed in (1, 0))
    assert both.stages[3]["drift"] == pytest.approx(float((now - start).norm() / start.norm()))


def test_features_and_probes_do_not_depend_on_the_batch_size() -> None:
    names = ("linear_accuracy", "knn_accuracy", "normal_error", "rankme", "effective_rank")
    small, large = (analysed([subject()], size) for size in (3, 40))
    for one, other in zip(small.stages, large.stages, strict=True):
        figures = [{n: row[n] for n in names if n in row} for row in (one, other)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-4)
    assert [row["value"] for row in small.cka] == pytest.approx([row["value"] for row in large.cka], abs=1e-4)


def test_gradient_norms_are_those_of_an_ordinary_backward(both: Analysis) -> None:
    one = subject("before", 0)
    one.backbone.eval()
    means = dict.fromkeys(dict(one.backbone.named_parameters()), 0.0)
    for batch in in_batches(FIT, 8):
        loss = nn.functional.cross_entropy(one.head(one.backbone(batch).pooled), batch.labels)
        one.backbone.zero_grad()
        loss.backward()
        for name, parameter in one.backbone.named_parameters():
            means[name] += float(parameter.grad.norm()) / 5
    rows = {str(row["parameter"]): row for row in both.parameters if row["subject"] == "before"}
    assert {name: row["gradient_norm"] for name, row in rows.items()} == pytest.approx(means, rel=1e-4)
    weight = one.backbone.late.weight.detach()
    assert rows["late.weight"]["relative_gradient_norm"] == pytest.approx(
        means["late.weight"] / float(weight.norm()), rel=1e-4
    )
    stage = (means["late.weight"] + means["late.bias"]) / 2
    assert both.stages[1]["gradient_norm"] == pytest.approx(stage, rel=1e-4)
    assert "relative_gradient_norm" not in rows["norm.bias"]  # it is zero


def test_gradients_leave_a_short_last_batch_out_unless_there_is_no_other() -> None:
    config = CONFIG.model_copy(update={"measures": ("gradients",)})

    def norms(*batches: PointBatch) -> list[float | str]:
        found = analyse([subject()], batches, [], num_classes=2, config=config, device=CPU)
        return [row["gradient_norm"] for row in found.stages]

    whole, short = in_batches(FIT, 32).batches
    assert norms(whole, short) == norms(whole)
    assert norms(short) != norms(whole)


def test_nothing_of_a_subject_changes() -> None:
    one = subject()
    one.backbone.norm.eval()
    one.backbone.early.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in one.backbone.state_dict().items()}
    analysed([one])
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.backbone.state_dict().items())
    assert (one.backbone.training, one.backbone.norm.training, one.head.training) == (True, False, True)
    frozen = [name for name, parameter in one.backbone.named_parameters() if not parameter.requires_grad]
    assert frozen == ["early.weight"]
    assert all(parameter.grad is None for parameter in one.backbone.parameters())


@pytest.mark.parametrize("kind", TINY)
def test_every_backbone_can_be_analysed_and_keeps_its_bytes(kind: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(TINY[kind])
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    draw = torch.Generator().manual_seed(0)
    points, counts = torch.randn(8, 48, 3, generator=draw), torch.arange(40, 48)
    points[torch.arange(48) >= counts[:, None]] = 0
    normals = nn.functional.normalize(points + 1, dim=2)
    batch = PointBatch(points, counts, torch.arange(8), torch.arange(8) % 2, normals)
    one = Subject(kind, backbone, nn.Linear(backbone.num_features, 2))
    config = CONFIG.model_copy(update={"measures": ("gradients", "normals", "similarity")})
    found = analyse([one], [batch], [batch], num_classes=2, config=config, device=CPU)
    assert [row["stage"] for row in found.stages if "normal_error" in row] == list(backbone.local_stages)
    assert all(row["gradient_norm"] >= 0 for row in found.stages)
    assert len(found.parameters) == len(list(backbone.parameters()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_without_normals_there_is_no_error_of_them() -> None:
    assert all("normal_error" not in row for row in analysed([subject()], normals=False).stages)


def test_what_is_not_measured_costs_neither_data_nor_columns() -> None:
    config = CONFIG.model_copy(update={"measures": ("ranks",)})
    fit = in_batches(FIT, 8)
    score = in_batches(SCORE, 8)
    found = analyse([subject()], fit, score, num_classes=NUM_CLASSES, config=config, device=CPU)
    assert fit.passes == 0
    columns = {"subject", "stage", "depth", "width", "channels", "rankme", "effective_rank"}
    assert set(found.stages[0]) == columns
    assert (found.parameters, found.cka, found.embedding) == ([], [], [])
    config = CONFIG.model_copy(update={"measures": ("gradients",)})
    found = analyse([subject()], fit, score, num_classes=NUM_CLASSES, config=config, device=CPU)
    assert (fit.passes, score.passes, found.num_score) == (1, 1, 0)
    assert "gradient_norm" in found.stages[0]


def test_the_clouds_that_choose_the_penalty_are_a_share_of_each_class_and_leave_one() -> None:
    labels, ids = torch.tensor([0, 0, 0, 0, 1, 1, 2]), torch.tensor([9, 3, 5, 1, 8, 7, 0])
    assert held_out(labels, ids, 0.3).nonzero().flatten().tolist() == [1, 3, 5]
    for too_few in (torch.arange(3), torch.zeros(2, dtype=torch.int64)):
        with pytest.raises(DataError, match=r"penalty.*What to do"):
            held_out(too_few, ids[: len(too_few)], 0.3)


def test_among_equal_votes_the_more_similar_neighbours_win() -> None:
    fit = FeatureTable(
        torch.tensor([[1.0, 0.1], [0.0, 1.0], [1.0, 0.2], [0.5, 1.0]]), torch.tensor([1, 0, 1, 0])
    )
    score = FeatureTable(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 0]))
    assert neighbour_accuracy(fit, score, 2, 4) == 1


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda one: [one, one], ConfigError),
        (lambda one: [replace(one, head=nn.Linear(4, 1))], TransferError),
        (lambda one: [replace(one, start={})], TransferError),
    ],
)
def test_subjects_that_do_not_fit_are_refused(spoil: object, error: type[PointlabError]) -> None:
    assert callable(spoil)
    with pytest.raises(error):
        analysed(spoil(subject()))


def test_clouds_without_labels_are_refused() -> None:
    unlabelled = [replace(FIT, labels=-torch.ones(40, dtype=torch.int64))]
    with pytest.raises(DataError, match="label"):
        analyse([subject()], unlabelled, [SCORE], num_classes=2, config=CONFIG, device=CPU)


def test_features_that_are_not_finite_are_refused() -> None:
    one = subject()
    nn.init.constant_(one.backbone.late.bias, torch.nan)
    with pytest.raises(DataError, match=r"toy has features after cloud that are not finite.*train it again"):
        analysed([one])
