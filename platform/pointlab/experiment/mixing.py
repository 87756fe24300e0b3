"""Protocols wise_ft and wise_ft_lp: a finished fine-tuning is mixed with what it started from.

Nothing is trained here but probes. The fine-tuning is a run of its own, so that all mixtures of it share it.
"""

import copy
import time
from collections.abc import Sequence

import numpy as np

from pointlab import distributed
from pointlab.experiment.classifier import Classifier
from pointlab.experiment.resolve import Findings
from pointlab.experiment.transfer_task import TransferTask
from pointlab.seeding import generator
from pointlab.transfer import (
    Method,
    Mixture,
    MixtureConfig,
    barrier,
    choose,
    curve,
    fit_probe,
    reestimate,
    sweep,
)
from pointlab.transfer.fisher import Information, fisher_information
from pointlab.transfer.showing import Selection, named_figures


def mix(task: TransferTask, method: Method) -> Findings:
    """Sweep the coefficients on validation data and keep the classifier that the stated rule prefers."""
    if distributed.rank() > 0:  # a sweep has no work for several
        return Findings({})
    started, experiment, fine_tuned = time.perf_counter(), task.experiment, task.fine_tuned()
    mixtures = sweep(
        (task.start(), fine_tuned.backbone),
        fine_tuned.head,
        task.train_batches(),
        task.validation(),
        num_classes=task.target.num_classes,
        mixture=experiment.mixture,
        probe=experiment.probe,
        device=task.context.device,
        information=information(task, fine_tuned) if experiment.mixture.weighting == "fisher" else None,
    )
    chosen = choose(mixtures, method, experiment.mixture.selection)
    task.publish(chosen.backbone, chosen.head)
    return Findings(
        metrics=_figures(chosen, experiment.mixture.selection) | _barrier(mixtures, method),
        curves={"coefficients": curve(mixtures)},
        notes={
            **_rule(chosen, experiment.mixture),
            **_of_an_end(chosen, experiment.mixture),
            "BatchNorm": experiment.mixture.batch_norm,
            **_weighting(experiment.mixture),
        },
        samples_seen=_samples_seen(task),
        device_seconds=time.perf_counter() - started,
    )


def information(task: TransferTask, fine_tuned: Classifier) -> tuple[Information, Information]:
    """The Fisher information of both ends on the same training clouds.

    BatchNorm has the statistics of the training clouds where mixtures have these, else each end its own;
    random weights have seen none, and theirs are those of normal features. The pretrained end has no head for
    these classes, and gets a linear probe.
    """
    experiment, device, subset = task.experiment, task.context.device, task.subset()
    start, end = task.start().to(device), copy.deepcopy(fine_tuned.backbone).to(device)
    if experiment.mixture.batch_norm == "reestimate":
        reestimate([start, end], task.train_batches()(), device)
    train, validation = (task.features(start, split) for split in ("train", "validation"))
    probe = fit_probe(train, validation, task.target.num_classes, experiment.probe)
    drawn = generator(experiment.seed, "fisher").permutation(task.num_train)
    rows = np.sort(drawn[: experiment.mixture.fisher_samples])
    batches = task.batches(task.target, "train", rows if subset is None else subset[rows])
    return (
        fisher_information(start, probe, batches(), device),
        fisher_information(end, fine_tuned.head, batches(), device),
    )


def _samples_seen(task: TransferTask) -> int:
    """Clouds that the sweep was shown, and the Fisher information before it."""
    mixture, num_train = task.experiment.mixture, task.num_train
    if mixture.weighting == "linear":
        return num_train * mixture.passes
    weighed = min(mixture.fisher_samples, num_train)
    return 2 * (num_train * mixture.passes + weighed)  # statistics and a probe as in a sweep, then both ends


def _rule(chosen: Mixture, mixture: MixtureConfig) -> dict[str, str]:
    """How the coefficient was chosen; nothing where it was given, as those by depth are."""
    if mixture.by_depth is not None or len(mixture.coefficients) == 1:
        return {}
    compared = _compared(chosen, mixture.selection)
    return {"selection rule": f"highest {compared}; the largest of equal coefficients"}


def _of_an_end(chosen: Mixture, mixture: MixtureConfig) -> dict[str, str]:
    """That what was chosen mixes nothing, where it is one of the ends: its gain is not the mixing's."""
    ends = {0.0: "pretrained", 1.0: "fine-tuned"}
    if chosen.coefficient not in ends:
        return {}
    statistics = {
        "reestimate": "with any BatchNorm re-estimated on training clouds",
        "interpolate": "with its own BatchNorm",
        "fine_tuned": "with any BatchNorm as fine-tuned",
    }[mixture.batch_norm]
    head = ", and a new probe" if chosen.method == "wise_ft_lp" else ""
    return {
        "chosen end": f"the {ends[chosen.coefficient]} backbone itself, {statistics}{head}: nothing is mixed"
    }


def _weighting(mixture: MixtureConfig) -> dict[str, str]:
    """Notes on mixtures that are not plain ones."""
    notes = {}
    if mixture.weighting == "fisher":
        notes["weighting"] = f"by the Fisher information on {mixture.fisher_samples} training clouds, or all"
    if mixture.by_depth is not None:
        values = ", ".join(f"{value:g}" for value in mixture.by_depth)
        notes["by depth"] = f"{values} from the first stage to the last; the coefficient is their mean"
    return notes


def _compared(chosen: Mixture, rule: Selection) -> str:
    """The accuracy that the rule compares, in words."""
    of_roles = f" of {', '.join(chosen.figures)}" if rule == "mean" and len(chosen.figures) > 1 else ""
    return f"{rule} validation accuracy{of_roles}"


def _figures(chosen: Mixture, rule: Selection) -> dict[str, float]:
    return {
        "validation/accuracy": chosen.figures["target"].accuracy,
        **named_figures(chosen.figures),
        "selection/coefficient": chosen.coefficient,
        "selection/score": chosen.score(rule),
    }


def _barrier(mixtures: Sequence[Mixture], method: Method) -> dict[str, float]:
    """How far the method's loss on the target rises above the line between its ends, if both were tried."""
    losses = {each.coefficient: each.figures["target"].loss for each in mixtures if each.method == method}
    return {"selection/barrier": barrier(losses)} if losses.keys() >= {0.0, 1.0} else {}
