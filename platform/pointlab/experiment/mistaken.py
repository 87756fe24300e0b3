"""What a classifier leaves to be looked at: the clouds that it was surest about and took for something else.

They come of the very pass that measures the target's test split, or of its validation split where test is not
read. They are kept after every choice, so nothing is chosen by them; only habits of released code have chosen
by the split itself.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from pointlab.errors import DamagedError
from pointlab.experiment.classifier import Answers
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.shown import middle_of, publish_files, read_files, small_points
from pointlab.storage import Storage, read_manifest

KIND = "mistakes"
CLOUDS, TOLD = "clouds.safetensors", "mistakes.json"
MAX_MISTAKES = 24
"""Mistakes that are kept, the surest: a page of small drawings."""
MAX_POINTS = 512
"""Points of a cloud that are kept, its first: an even sample, and as many as a small drawing can hold."""
MAX_CONFUSIONS = 10
"""Pairs of classes that are told apart worst, as far as a reader follows."""


class Mistake(BaseModel):
    """One cloud: its class, the answer, and the softmax of the scores for both."""

    model_config = ConfigDict(frozen=True)
    sample_id: int
    truth: str
    answer: str
    confidence: float
    """Of the answer."""
    left_for_truth: float
    """Of the cloud's class."""


class Confusion(BaseModel):
    """How many clouds of one class were taken for another."""

    model_config = ConfigDict(frozen=True)
    truth: str
    answer: str
    count: int


class Mistakes(BaseModel):
    """Of one split: how many answers were wrong, the surest of these, the most frequent confusions."""

    model_config = ConfigDict(frozen=True)
    dataset: str
    split: str
    num_clouds: int
    num_wrong: int
    surest: tuple[Mistake, ...]
    confusions: tuple[Confusion, ...]


@dataclass(frozen=True)
class ShownMistakes:
    """What is told of the mistakes, and the cloud of each of the surest, around the middle of its box."""

    told: Mistakes
    clouds: tuple[Float32[np.ndarray, "points 3"], ...]


def publish_mistakes(storage: Storage, run: str, answers: Answers, data: Data, split: str) -> None:
    """Store the mistakes among `answers`, which are of all clouds of the split in their order.

    The classes of the set are those that the classifier tells apart. An answer that is no number counts as
    wrong, and is neither sure nor a confusion of one class with another.
    """
    class_names = data.manifest.class_names
    shares = torch.softmax(answers.logits.double(), 1)
    confidence, named = shares.max(1)
    is_answer = shares.isfinite().all(1)
    num_right = int((is_answer & (named == answers.labels)).sum())
    wrong = torch.nonzero(is_answer & (named != answers.labels)).flatten()
    surest = wrong[torch.argsort(confidence[wrong], descending=True, stable=True)][:MAX_MISTAKES]
    cached = data.split(split)
    pairs = Counter(zip(answers.labels[wrong].tolist(), named[wrong].tolist(), strict=True))
    told = Mistakes(
        dataset=data.name,
        split=split,
        num_clouds=len(named),
        num_wrong=len(named) - num_right,
        surest=tuple(
            Mistake(
                sample_id=int(cached.ids[row]),
                truth=class_names[answers.labels[row]],
                answer=class_names[named[row]],
                confidence=round(float(confidence[row]), 4),
                left_for_truth=round(float(shares[row, answers.labels[row]]), 4),
            )
            for row in surest.tolist()
        ),
        confusions=tuple(
            Confusion(truth=class_names[truth], answer=class_names[answer], count=count)
            for (truth, answer), count in pairs.most_common(MAX_CONFUSIONS)
        ),
    )
    points = [cached.arrays(row, ("points",))["points"][:MAX_POINTS] for row in surest.tolist()]
    clouds = {f"{place:02d}": small_points(cloud - middle_of(cloud)) for place, cloud in enumerate(points)}
    files = {TOLD: told.model_dump_json(indent=1).encode(), CLOUDS: save_safetensors(clouds)}
    publish_files(storage, run, KIND, files)


def read_mistakes(storage: Storage, run: str) -> ShownMistakes | None:
    """What `publish_mistakes` stored, verified; None of a run that has left none.

    Raises DamagedError where it was stored whole and cannot be understood.
    """
    manifest = read_manifest(storage, f"runs/{run}/shown")
    if manifest is None or manifest.kind != KIND:
        return None
    files = read_files(storage, run)
    clouds = load_safetensors(files[CLOUDS])
    try:
        told = Mistakes.model_validate_json(files[TOLD])
    except ValidationError as error:
        raise DamagedError(
            f"{storage.locate(f'runs/{run}/shown')} does not tell mistakes: {error.error_count()} of its"
            " entries are not understood.",
            remedy="run its config with --rerun",
        ) from None
    return ShownMistakes(told, tuple(clouds[name].astype(np.float32) for name in sorted(clouds)))
