"""Which figures of validation the trials of a search will have, as far as their names can be told beforehand.

An objective that no record has would be found out when a trial has trained. Figures of training and of what
was selected depend on more than a name, and are left to the first trial.
"""

import difflib

from pointlab.evaluation.baselines import published_with
from pointlab.experiment.tasks import FIGURES_OF_PARTS, FIGURES_OF_SEGMENTATION
from pointlab.experiment.transfer import TransferExperiment

OF_ONE_SET = ("accuracy", "mean_class_accuracy", "loss", "accuracy_std")
OF_POINTS = (*FIGURES_OF_SEGMENTATION, *FIGURES_OF_PARTS, "loss", "cross_entropy", "lovasz")
OF_SHARED_CLASSES = ("shared_accuracy", "shared_mean_class_accuracy")
UNDER_CORRUPTIONS = ("mOA", "error", "accuracy", "loss")
DIVIDED = ("mCE", "RmCE")
"""By what a baseline loses, of suites that have one."""


def require_told(metric: str, transfer: TransferExperiment) -> None:
    """ValueError for a figure of a validation split that these transfers do not have.

    Those of one class, or of one corruption, have a longer name and are not checked.
    """
    split, _, figure = metric.partition("/")
    if not split.endswith("validation") or "/" in figure:
        return
    known = _figures_of(transfer)
    if split in known and figure in known[split]:
        return
    names = [f"{each}/{name}" for each, figures in known.items() for name in figures]
    close = difflib.get_close_matches(metric, names, n=1)
    hint = f"did you mean {close[0]}? Otherwise expected" if close else "expected"
    raise ValueError(f"objectives name {metric}, which no trial will have: {hint} one of {', '.join(names)}")


def _figures_of(transfer: TransferExperiment) -> dict[str, tuple[str, ...]]:
    """Names of figures by split."""
    known: dict[str, tuple[str, ...]] = {"validation": OF_POINTS if transfer.segments else OF_ONE_SET}
    if transfer.segments or transfer.averages:
        known["target-validation"] = known["validation"]
    if transfer.shifted is not None:
        known["shifted-validation"] = known["validation"]
        if transfer.shifted_classes is not None:
            known["shifted-validation"] += OF_SHARED_CLASSES
    if transfer.corruptions is not None:
        suite = transfer.corruptions
        divided = DIVIDED if published_with(suite.name, suite.severities) else ()
        known["corrupted-validation"] = UNDER_CORRUPTIONS + divided
    return known
