"""What a transfer will take for right about each class of its shifted set, told before anything runs."""

from pointlab.data.dataset import find_prepared
from pointlab.data.manifest import read_dataset
from pointlab.experiment import TransferExperiment
from pointlab.experiment.class_map import classes_between
from pointlab.storage import Storage


def foresee_classes(transfer: TransferExperiment, storage: Storage) -> dict[str, str]:
    """By class of the shifted set the right answers about it, or "left out"; nothing where both sets have
    equal classes, or one is not prepared yet.

    Raises as `shared_classes`.
    """
    if transfer.shifted is None:
        return {}
    prepared = [find_prepared(config, storage) for config in (transfer.shifted, transfer.data)]
    if None in prepared:
        return {}
    shifted, target = (read_dataset(storage, name) for name in prepared if name is not None)
    shared = classes_between(transfer, shifted, target)
    if shared is None:  # equal ones, as a transfer without a map has to have them
        return {}
    return {
        name: " or ".join(target.class_names[answer] for answer in right) or "left out"
        for name, right in zip(shifted.class_names, shared.right, strict=True)
    }
