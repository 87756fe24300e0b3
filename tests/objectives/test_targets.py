"""What finished networks say, looked up by what the clouds of a batch have."""

import torch
from torch import Tensor

from pointlab.data.sample import PointBatch
from pointlab.objectives.targets import PictureFeatures, TextFeatures


def batch_of(
    *labels: int, captions: list[int] | None = None, pictures: list[int] | None = None
) -> PointBatch:
    """A batch of nothing but these."""
    ids = torch.arange(len(labels))
    return PointBatch(
        torch.zeros(len(labels), 1, 3),
        torch.ones_like(ids),
        ids,
        torch.tensor(labels),
        captions=None if captions is None else torch.tensor(captions),
        picture_numbers=None if pictures is None else torch.tensor(pictures),
    )


def test_numbers_of_pictures_are_rows_of_their_table() -> None:
    table = PictureFeatures(torch.arange(6.0).view(3, 2))
    features, is_there = table(batch_of(0, 0, 0, pictures=[2, -1, 0]))
    assert features.tolist() == [[4, 5], [0, 0], [0, 1]]
    assert is_there.tolist() == [True, False, True]
    assert not table.state_dict()


def test_captions_are_found_by_their_hashes_and_others_are_not_there() -> None:
    table = TextFeatures("captions", [3, 7, 9], torch.arange(1.0, 4).view(3, 1, 1))
    features, is_there = table(batch_of(0, 0, 0, 0, 0, captions=[9, 3, -1, 8, 10]))
    assert features[:, 0].tolist() == [3, 1, 0, 0, 0]
    assert is_there.tolist() == [True, True, False, False, False]


def test_sentences_are_drawn_by_torch_s_generator_in_training_alone() -> None:
    said = torch.arange(12.0).view(3, 4, 1)  # of class c, sentence s: 4 c + s
    table, batch = TextFeatures("labels", range(3), said), batch_of(*[0, 1, 2, -1] * 16)

    def drawn() -> Tensor:
        torch.manual_seed(0)
        features, is_there = table(batch)
        assert is_there.tolist() == [True, True, True, False] * 16
        assert not features[~is_there].any()
        return features[is_there, 0]

    first = drawn()
    assert torch.equal(first, drawn())
    classes = torch.tensor([0, 1, 2] * 16)
    assert torch.equal(first // 4, classes.float())
    assert set((first % 4).tolist()) == {0.0, 1.0, 2.0, 3.0}
    table.eval()
    assert torch.equal(drawn(), 4 * classes.float())


def test_one_sentence_on_each_text_leaves_the_generator_where_it_was() -> None:
    """So that runs on captions draw what they drew before there were templates."""
    table, before = TextFeatures("labels", range(3), torch.zeros(3, 1, 1)), torch.get_rng_state()
    table.train()(batch_of(0, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
