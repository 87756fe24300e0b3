"""The feed on Ray: a Ray Data stream of one worker's share, addressed by step.

Each row of the stream is a step; a data task turns it into that step's samples by the same function that
the in-process feed calls. Order is preserved, so what a worker sees is a function of (seed, step, rank)
and never of scheduling. A worker that resumes opens the stream at its step: there is nothing to skip, and
an epoch's end is no event.

An error in a data task takes the place of its samples: raised, it would reach the worker as Ray's own error,
with its kind lost, and nobody could tell a damaged shard from a lost node.
"""

import functools
import itertools
import pickle
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import ray.data

from pointlab.data.batches import training_arrays
from pointlab.data.cache import open_split
from pointlab.data.cached_pictures import NO_PICTURE
from pointlab.data.picture_crops import whole
from pointlab.data.sample import Arrays
from pointlab.engine.session import quiet_ray_data
from pointlab.training.context import FeedPlan

SAMPLES_PER_BLOCK = 2048
PICTURE_BYTES_PER_BLOCK = 1 << 25
"""Decoded pictures of a block at most: 222 of 224 by 224 pixels, or one where a picture is larger."""
POINTS_PER_BLOCK = 1 << 21
"""What a data task makes at a time: large enough to hide its overhead (twice the rate of a quarter of it),
small enough to start soon and to lie in shared memory a few times over (24 MB of coordinates)."""
ERROR = "error"
"""The only column of what a data task that failed hands over."""


def ray_feed(plan: FeedPlan) -> Iterator[Arrays]:
    """This worker's arrays of each step from `first_step` on; a data task's error is raised in its place.

    A stream takes seconds to start. Until it has, this process makes the samples of the first steps by the
    same function: to whom a step falls changes no bit.
    """
    steps_per_block = max(1, _samples_per_block(plan) // plan.share.size)
    border = min(plan.num_steps, plan.first_step + steps_per_block)
    beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream")
    try:
        following = beside.submit(open_stream, replace(plan, first_step=border), steps_per_block)
        split = open_split(plan.storage, plan.dataset, "train")
        for step in range(plan.first_step, border):
            yield training_arrays(split, plan.share.positions(step), plan.recipe)
        yield from following.result()
    finally:
        beside.shutdown(wait=False)


def _samples_per_block(plan: FeedPlan) -> int:
    """As many as the bounds above leave; all pictures of a set have one size."""
    most = min(SAMPLES_PER_BLOCK, POINTS_PER_BLOCK // plan.recipe.num_points)
    if "pictures" not in plan.recipe.inputs:
        return most
    split = open_split(plan.storage, plan.dataset, "train")
    pictures = plan.recipe.pictures
    crops = None if pictures is None else whole(1, pictures)
    example = split.decoded(np.array([NO_PICTURE]), crops)
    return min(most, PICTURE_BYTES_PER_BLOCK // example.nbytes)


def open_stream(plan: FeedPlan, steps_per_block: int) -> Iterator[Arrays]:
    """The stream of the steps from `first_step` on, its first batch on its way; empty where there is none."""
    remaining = plan.num_steps - plan.first_step
    if remaining <= 0:
        return iter(())
    quiet_ray_data().execution_options.preserve_order = True
    steps = ray.data.range(remaining, override_num_blocks=-(-remaining // steps_per_block))
    samples = steps.map_batches(functools.partial(_fetch, plan=plan), batch_size=None)
    # executed by an actor of its own: in this process it would take the interpreter from the training loop
    (stream,) = samples.streaming_split(1)
    batches = _checked(
        stream.iter_batches(batch_size=plan.share.size, batch_format="numpy", prefetch_batches=2)
    )
    return itertools.chain([next(batches)], batches)


def _checked(batches: Iterable[Arrays]) -> Iterator[Arrays]:
    """The batches, until one of them is an error."""
    for arrays in batches:
        if ERROR in arrays:
            raise pickle.loads(arrays[ERROR][0])
        yield dict(arrays)


def _fetch(rows: dict[str, np.ndarray], plan: FeedPlan) -> Arrays:
    """The samples of some steps, or the error that prevented them, once for each."""
    try:
        return _samples(rows, plan)
    except Exception as error:  # the worker that waits for these samples raises it
        error.add_note(f"In a data task:\n{traceback.format_exc()}")
        count = plan.share.size * len(rows["id"])
        return {ERROR: np.array([pickle.dumps(error)] * count, dtype=object)}


def _samples(rows: dict[str, np.ndarray], plan: FeedPlan) -> Arrays:
    split = open_split(plan.storage, plan.dataset, "train")
    positions = [plan.share.positions(plan.first_step + int(number)) for number in rows["id"]]
    return training_arrays(split, np.concatenate(positions), plan.recipe)
