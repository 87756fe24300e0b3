"""A zero-shot head is the paper's formula, whatever the order of the queries, and survives being stored."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointlab.backbones.recon import QueryName
from pointlab.evaluation import FeatureTable
from pointlab.training.checkpoint import load_weights
from pointlab.transfer import ZeroShotHead, predict
from pointlab.transfer.zero_shot import choose_ratio, empty_head, folded, is_zero_shot, summed_bank

WIDTH, NUM_FEATURES, NUM_CLASSES = 6, 4, 5


def projections(*names: QueryName) -> dict[QueryName, nn.Linear]:
    torch.manual_seed(0)
    made: dict[QueryName, nn.Linear] = {name: nn.Linear(WIDTH, NUM_FEATURES) for name in ("text", "image")}
    return {name: made[name] for name in names}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize(
    "queries", [("class", "image", "text"), ("text", "class", "image"), ("text", "image")]
)
def test_scores_are_cosines_of_the_weighted_sum_of_both_projections(queries: Sequence[QueryName]) -> None:
    both, asked = projections("text", "image"), drawn(3, len(queries), WIDTH)
    pooled = torch.cat([asked.flatten(1), drawn(3, WIDTH)], dim=1)
    prompts = drawn(NUM_CLASSES, 7, NUM_FEATURES)
    head = ZeroShotHead(folded(both, queries, 0.3), summed_bank(prompts))
    text, image = (both[name](asked[:, queries.index(name)]) for name in ("text", "image"))
    said = 0.3 * text + image
    rows = torch.stack([sum(list(of_class), torch.zeros(NUM_FEATURES)) for of_class in prompts])
    expected = F.cosine_similarity(said.unsqueeze(1), rows.unsqueeze(0), dim=2)
    torch.testing.assert_close(predict(head, pooled), expected.detach())


def test_without_an_image_query_the_ratio_is_without_effect() -> None:
    pooled, bank, queries = drawn(3, 3 * WIDTH), drawn(NUM_CLASSES, NUM_FEATURES), ("class", "text")
    heads = [ZeroShotHead(folded(projections("text"), queries, ratio), bank) for ratio in (0.0, 0.05, 4.0)]
    first, *others = (predict(head, pooled) for head in heads)
    assert all(torch.equal(first, other) for other in others)


def test_a_stored_head_is_known_by_its_tensors_and_says_the_same() -> None:
    queries: tuple[QueryName, ...] = ("image", "text")
    head = ZeroShotHead(folded(projections("text", "image"), queries, 1.0), drawn(NUM_CLASSES, NUM_FEATURES))
    weights = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    assert is_zero_shot(weights)
    assert not is_zero_shot(nn.Linear(2, 2).state_dict())
    read = empty_head(weights)
    load_weights(read, weights)
    pooled = drawn(3, 3 * WIDTH)
    assert torch.equal(predict(read, pooled), predict(head, pooled))


def test_the_best_ratio_on_validation_is_chosen_and_of_equals_the_largest() -> None:
    """The text says class 0, the image class 1: the text decides above a ratio of 1."""
    ratios = (0.25, 2.0, 4.0, 0.5)
    answers: dict[QueryName, nn.Linear] = {"text": always(0), "image": always(1)}
    heads = {r: ZeroShotHead(folded(answers, ("text", "image"), r), torch.eye(2)) for r in ratios}
    for label, ratio in ((0, 4.0), (1, 0.5)):
        chosen, accuracy = choose_ratio(heads, FeatureTable(torch.ones(4, 3), torch.full((4,), label)))
        assert chosen == ratio
        assert accuracy == {r: float((r > 1) == (label == 0)) for r in ratios}


def always(direction: int) -> nn.Linear:
    """A projection that says one thing of every query."""
    layer = nn.Linear(1, 2)
    nn.init.zeros_(layer.weight)
    layer.bias.data.copy_(torch.eye(2)[direction])
    return layer
