"""Features of a frozen backbone, computed once on each machine: whatever is fitted on them, or how often.

By what decides them, down to the last bit (`data/cached_rows.py`), the code among it: an edited one computes
anew. Labels are read from the split itself.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pointlab.backbones import Backbone, BackboneConfig
from pointlab.data.cached_rows import Shelf, Watch, cached_rows, unwatched
from pointlab.data.sample import PointBatch
from pointlab.evaluation.features import FeatureTable
from pointlab.evaluation.reading import FeatureName, read
from pointlab.provenance import code_version
from pointlab.seeding import Key, stable_hash

SHELF = Shelf("frozen-features", num_tables=512)
"""Training and validation features of the starts of a study: one that reads every stage in every way has
about a hundred. A table of 10,000 clouds, each 768 numbers, has 30 megabytes."""
PART = 2048
"""Clouds that are lost at most when a worker ends, rounded up to whole batches: a minute or two on a slow
core."""


@dataclass(frozen=True)
class ShownClouds:
    """Rows of a split of a prepared set, as a network is shown them: without augmentation, in this order."""

    dataset: str
    split: str
    rows: Int64[np.ndarray, " rows"]
    labels: Int64[Tensor, " rows"]
    num_points: int
    batch_size: int
    show: Callable[[Int64[np.ndarray, " rows"]], Iterable[PointBatch]]
    """Batches of so many of these rows."""

    @property
    def key(self) -> tuple[Key, ...]:
        """What they follow from: of the set, the hash that its name ends with."""
        chosen = hashlib.sha256(self.rows.astype(np.int64).tobytes()).hexdigest()
        return self.dataset.rpartition("-")[2], self.split, chosen, self.num_points, self.batch_size


def cached_features(
    backbone: Backbone,
    architecture: BackboneConfig,
    clouds: ShownClouds,
    device: torch.device,
    features: Sequence[FeatureName] = ("pooled",),
    *,
    watch: Watch = unwatched,
) -> list[FeatureTable]:
    """A table for each of the features, mapped from disk; what this machine lacks is computed in one pass.

    The backbone is put into eval mode. Raises DataError where nothing can be kept, and for no clouds.
    """
    backbone.eval()
    made_with = processor_of(device), torch.get_num_threads(), torch.__version__, code_version()
    key = hash_of_weights(backbone), architecture.model_dump_json(), *clouds.key, *made_with
    part = -(-PART // clouds.batch_size) * clouds.batch_size
    together = _Together(backbone, clouds, device, features)
    tables = []
    for name in features:
        compute, num_rows, computed = partial(together.rows, name), len(clouds.rows), _Computed(watch)
        of = f"clouds ({name})"
        rows = cached_rows(compute, num_rows, of, name, *key, shelf=SHELF, part=part, watch=computed)
        tables.append(FeatureTable(rows, clouds.labels, was_kept=not computed.is_all))
    return tables


def processor_of(device: torch.device) -> str:
    """What computes there: models of one kind of device may add up in another order."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


def hash_of_weights(module: nn.Module) -> str:
    """Of the bytes, types and names of all its weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(stable_hash(name, str(tensor.dtype), *tensor.shape).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class _Computed:
    """Hears of the parts of a table that are computed, and tells `watch` of them."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.is_all = watch, False

    def __call__(self, done: int, total: int) -> None:
        self.is_all |= done == 0
        self.watch(done, total)


class _Together:
    """Computes several features in one pass: those that are not asked for yet wait until they are."""

    def __init__(
        self,
        backbone: Backbone,
        clouds: ShownClouds,
        device: torch.device,
        features: Sequence[FeatureName],
    ) -> None:
        self.backbone, self.clouds, self.device = backbone, clouds, device
        self.waiting = list(features)
        self.kept: dict[tuple[FeatureName, int, int], Tensor] = {}

    def rows(self, name: FeatureName, first: int, last: int) -> Float[Tensor, "_ width"]:
        """The feature of the clouds from the place `first` on, and before `last`."""
        self.waiting = self.waiting[self.waiting.index(name) :]
        if (name, first, last) not in self.kept:
            for waiting, values in zip(self.waiting, self._pass(first, last), strict=True):
                self.kept[waiting, first, last] = values
        return self.kept.pop((name, first, last))

    @torch.no_grad()
    def _pass(self, first: int, last: int) -> list[Tensor]:
        batches = (batch.to(self.device) for batch in self.clouds.show(self.clouds.rows[first:last]))
        found = [[value.float().cpu() for value in read(self.backbone, b, self.waiting)] for b in batches]
        return [torch.cat(values) for values in zip(*found, strict=True)]
