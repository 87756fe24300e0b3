"""Figures of a vote: what a finished classifier says of several views of each test cloud, taken together."""

import torch

from pointlab.data.batches import Recipe, view_batches
from pointlab.evaluation import FeatureTable
from pointlab.experiment.classifier import Answers, Classifier
from pointlab.experiment.prepared_data import Data, require_shown
from pointlab.experiment.transfer import TransferExperiment
from pointlab.transfer.voting import vote


def measure_votes(
    experiment: TransferExperiment, classifier: Classifier, data: Data, device: torch.device
) -> dict[str, float]:
    """`voted_accuracy` and its like on the test split; none where the experiment asks for no votes.

    A view depends on (seed, sample id, number of the view) alone.
    """
    voting, backbone = experiment.voting, classifier.backbone
    if voting is None:
        return {}
    require_shown(data.num_points, voting.augmentation, backbone)
    recipe = Recipe(
        experiment.seed,
        data.num_points,
        voting.augmentation,
        backbone.inputs,
        num_views=voting.votes,
        min_points=backbone.min_points,
    )
    size, rows = experiment.training.batch_size, data.asked("test")
    views = view_batches(data.split("test"), size, recipe, rows=rows)
    table = FeatureTable(*vote(backbone, classifier.head, views, device, classifier.reads))
    table.require_labels("A vote")
    figures = Answers(table.features, table.labels, data.shared).metrics()
    return {f"voted_{name}": value for name, value in figures.items()}
