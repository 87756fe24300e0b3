"""Protocol soup: several fine-tunings of one start, each a run of its own, become one network by averaging.

Every soup that is tried is measured on validation data alone.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from pointlab import distributed
from pointlab.backbones import Backbone
from pointlab.data.sample import PointBatch
from pointlab.evaluation import pooled_features
from pointlab.experiment.classifier import Classifier
from pointlab.experiment.resolve import Findings
from pointlab.experiment.transfer_task import TransferTask
from pointlab.transfer import fit_probe, reestimate
from pointlab.transfer.showing import Figures, named_figures, score_of
from pointlab.transfer.soup import RECIPES, Members, Tasting, average

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Soup:
    """An average of ingredients, with its validation figures by role."""

    backbone: Backbone
    head: nn.Module
    figures: dict[str, Figures]


def soup(task: TransferTask) -> Findings:
    """Average the ingredients as the recipe says, and keep the soup that it ends with."""
    if distributed.rank() > 0:  # a soup has no work for several
        return Findings({})
    started, experiment, ingredients = time.perf_counter(), task.experiment, task.ingredients()
    rule, soups = experiment.mixture.selection, dict[Members, Soup]()

    def score(members: Members) -> float:
        soups[members] = cook(task, [ingredients[number] for number in members])
        return score_of(soups[members].figures, rule)

    tastings = RECIPES[experiment.soup.method](len(ingredients), score)
    kept = [tasting for tasting in tastings if tasting.is_kept][-1]
    chosen = soups[kept.members]
    task.publish(chosen.backbone, chosen.head)
    passes = (experiment.mixture.batch_norm == "reestimate") + experiment.soup.probe_again
    return Findings(
        metrics={
            "validation/accuracy": chosen.figures["target"].accuracy,
            **named_figures(chosen.figures),
            "selection/ingredients": len(kept.members),
            "selection/score": kept.score,
        },
        curves={"soup": [_row(tasting, soups[tasting.members]) for tasting in tastings]},
        notes={
            "ingredients": f"{_listed(kept.members)} of 0 to {len(ingredients) - 1}",
            "recipe": _rule(experiment.soup.method, rule),
            "BatchNorm": experiment.mixture.batch_norm,
        },
        samples_seen=task.num_train * passes * len(tastings),
        device_seconds=time.perf_counter() - started,
    )


def cook(task: TransferTask, ingredients: Sequence[Classifier]) -> Soup:
    """The average of these classifiers, with BatchNorm as `mixture` says, and perhaps a new head."""
    experiment, device = task.experiment, task.context.device
    backbone = averaged([each.backbone for each in ingredients]).to(device)
    head = averaged([each.head for each in ingredients]).to(device)
    if experiment.mixture.batch_norm == "reestimate":
        reestimate([_Joined(backbone, head)], task.train_batches()(), device, _Joined.__call__)
    shown = task.validation()
    (target,) = shown["target"].features([backbone], device)
    if experiment.soup.probe_again:
        (train,) = pooled_features([backbone], task.train_batches()(), device)
        head = fit_probe(train, target[0], task.target.num_classes, experiment.probe)
    head = head.cpu()  # as the tables are
    figures = {}
    for role, showing in shown.items():
        tables = [target] if role == "target" else showing.features([backbone], device)
        ((figures[role],),) = showing.figures([[head]], tables)
    return Soup(backbone.cpu(), head, figures)  # the device holds one soup at a time


def averaged(networks: Sequence[Network]) -> Network:
    """A frozen network with the average of these weights; TransferError where they do not agree."""
    states = [{k: v.detach().cpu() for k, v in network.state_dict().items()} for network in networks]
    network = copy.deepcopy(networks[0])
    network.load_state_dict(average(states))
    return network.eval().requires_grad_(False)


class _Joined(nn.Module):
    """A backbone and the head on its pooled feature: both may have BatchNorm."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, batch: PointBatch) -> Tensor:
        scores: Tensor = self.head(self.backbone(batch).pooled)
        return scores


def _row(tasting: Tasting, tried: Soup) -> dict[str, float | str]:
    return {
        "members": _listed(tasting.members),
        "num_members": len(tasting.members),
        "kept": "yes" if tasting.is_kept else "no",
        "score": tasting.score,
        **named_figures(tried.figures),
    }


def _listed(members: Members) -> str:
    return ", ".join(str(number) for number in members)


def _rule(method: str, rule: str) -> str:
    if method == "uniform":
        return "all ingredients, whatever validation says of them"
    return (
        f"from the best to the worst by {rule} validation accuracy, among equals by number; one stays if that"
        " accuracy rises strictly"
    )
