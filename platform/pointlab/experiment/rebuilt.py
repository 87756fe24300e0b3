"""What a masked pretraining leaves to be looked at: clouds, what was hidden of them, and how it was rebuilt.

They are of the validation split, which the training did not see.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from pointlab import distributed
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.shown import middle_of, publish_files, read_files, small_points, spread
from pointlab.experiment.stored_models import seeded
from pointlab.paradigms import Paradigm
from pointlab.paradigms.base import RebuiltPoints
from pointlab.storage import Storage, read_manifest

KIND, CLOUDS = "rebuilt", "clouds.safetensors"
NUM_CLOUDS = 6
MAX_POINTS = 1024
"""Points that are kept of a cloud, its first, and of those rebuilt, an even share: the shape of an object."""


@dataclass(frozen=True)
class RebuiltCloud:
    """A cloud, which of its points were given to what rebuilds, and the points that it made."""

    points: Float32[np.ndarray, "points 3"]
    is_given: Bool[np.ndarray, " points"]
    rebuilt: Float32[np.ndarray, "rebuilt 3"]


def publish_rebuilt(
    storage: Storage, run: str, paradigm: Paradigm, data: Data, *, device: torch.device, seed: int
) -> None:
    """Store what a trained paradigm makes of a few validation clouds, with masks drawn by `seed`; the first
    worker does it. Nothing is stored of a paradigm that makes no points, or without a validation split."""
    num_clouds = data.manifest.rows.get("validation", 0)
    if distributed.rank() > 0 or not num_clouds:
        return
    rows = spread(num_clouds, NUM_CLOUDS).numpy()
    (batch,) = data.batches("validation", NUM_CLOUDS, paradigm.backbone.inputs, rows)()
    paradigm.eval()
    with torch.inference_mode(), seeded(seed, "rebuilt"):
        found = paradigm.rebuild(batch.to(device))
    if found is None:
        return
    kept: dict[str, np.ndarray] = {}
    for place, count in enumerate(batch.counts.tolist()):
        cloud = _kept(batch.points[place, :count], found, place)
        kept |= {f"{name}-{place}": values for name, values in cloud.items()}
    publish_files(storage, run, KIND, {CLOUDS: save_safetensors(kept)})


def read_rebuilt(storage: Storage, run: str) -> tuple[RebuiltCloud, ...]:
    """What `publish_rebuilt` stored, verified; nothing of a run that left none."""
    manifest = read_manifest(storage, f"runs/{run}/shown")
    if manifest is None or manifest.kind != KIND:
        return ()
    kept = load_safetensors(read_files(storage, run)[CLOUDS])
    num_clouds = sum(name.startswith("points-") for name in kept)
    return tuple(
        RebuiltCloud(
            kept[f"points-{place}"].astype(np.float32),
            kept[f"is_given-{place}"],
            kept[f"rebuilt-{place}"].astype(np.float32),
        )
        for place in range(num_clouds)
    )


def _kept(points: torch.Tensor, found: RebuiltPoints, place: int) -> dict[str, np.ndarray]:
    cloud = points.cpu().numpy()
    rebuilt = found.rebuilt[place].float().cpu()
    middle = middle_of(cloud)
    some = rebuilt[spread(len(rebuilt), MAX_POINTS)].numpy()
    return {
        "points": small_points(cloud[:MAX_POINTS] - middle),
        "is_given": found.is_given[place, : len(cloud)].cpu().numpy()[:MAX_POINTS].copy(),
        "rebuilt": small_points(some - middle),
    }
