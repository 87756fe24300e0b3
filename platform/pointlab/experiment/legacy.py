"""Transfers with habits of released code (`legacy`): the step is chosen on test, and the record says so.

Nothing here runs unless a transfer asks for it by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from pointlab.data.batches import evaluation_batches
from pointlab.data.sample import PointBatch
from pointlab.errors import DataError
from pointlab.experiment.legacy_settings import INHERITED, MEASURED
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.transfer import TransferExperiment
from pointlab.training import TrainingData


def chosen_on(
    experiment: TransferExperiment,
    target: Data,
    training: TrainingData,
    rows: Int64[np.ndarray, " rows"] | None = None,
) -> TrainingData:
    """`training`, unless the experiment has the habit of choosing on test: then it is validated on the test
    split, or these rows of it, and its log calls that `test`.

    Raises DataError, before anything is trained, where there is no test split.
    """
    if not experiment.chooses_on_test:
        return training
    if not target.manifest.rows.get("test"):
        raise DataError(
            f"{target.name} has no test split, which legacy.best_on_test chooses on.",
            remedy="leave legacy out, or choose a set that has one",
        )
    size, inputs = experiment.training.batch_size, training.recipe.inputs

    def test(rank: int, world_size: int) -> Iterator[PointBatch]:
        """What `ValidationBatches` are, of the test split."""
        shown = target.split("test"), size, target.num_points, inputs
        return evaluation_batches(*shown, rows=rows, rank=rank, world_size=world_size)

    return replace(training, validation=test, validated_split="test")


def notes_on_habits(experiment: TransferExperiment) -> dict[str, str]:
    """What a reader must know of the habits of a transfer, or of one that it starts from; mostly nothing."""
    if experiment.legacy is not None:
        return experiment.legacy.notes(experiment.protocol)
    return {"legacy": INHERITED} if experiment.is_legacy else {}


def notes_on_subjects(subjects: Mapping[str, object]) -> dict[str, str]:
    """What a reader must know of a run that measures these: which of them rest on such habits."""
    named = [name for name, one in subjects.items() if isinstance(one, TransferExperiment) and one.is_legacy]
    return {"legacy": f"{', '.join(named)}: {MEASURED}"} if named else {}
