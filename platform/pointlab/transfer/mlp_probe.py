"""An MLP on frozen features: a whole grid of them trained as one batched network, the best kept.

The papers' protocol MLP-3 (Dong et al., ACT, ICLR 2023; Qi et al., ReCon, ICML 2023). Features stay what they
are, so that all learning rates, weight decays and features that are read share each mini-batch, and a member
of the grid is what it would be alone. Standardisation is folded into the first layer of what comes out.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator
from torch import Tensor

from pointlab.config import require_different
from pointlab.data.cached_rows import Watch, unwatched
from pointlab.errors import DataError
from pointlab.evaluation import FeatureTable
from pointlab.objectives.heads import Head
from pointlab.seeding import generator, stable_integer
from pointlab.transfer.chosen import Chosen, accuracy_of
from pointlab.transfer.read_grid import ReadGrid
from pointlab.transfer.side_by_side import Learning, SideBySide
from pointlab.transfer.standardising import Scale, first_layer, widened, with_first_layer

MOST_BYTES = 1 << 29
"""Of weights, gradients and moments that are trained together; a larger grid is trained in parts."""


class MlpProbeConfig(ReadGrid):
    """The grid, and how long its members are trained; `supervised.head` says what they are."""

    learning_rates: tuple[PositiveFloat, ...] = Field(default=(1e-4, 5e-4, 2e-3), min_length=1)
    """At the start of a half cosine: ReCon's for frozen backbones, the one for fine-tuning, and a larger."""
    weight_decays: tuple[NonNegativeFloat, ...] = Field(default=(0.0, 0.05, 0.5), min_length=1)
    """None, the papers' 0.05, and ten times as much, as few clouds may want it."""
    epochs: int = Field(default=100, ge=1)
    """A third of the papers', as features are the same in every epoch; the last step is kept."""
    batch_size: int = Field(default=64, ge=2)
    """Clouds of a mini-batch at least: twice the papers', as there is less noise to average than in views."""
    _are_different = field_validator("learning_rates", "weight_decays")(require_different)


@dataclass(frozen=True)
class Member:
    """One network of the grid: the number of the table that it reads, and how it learns."""

    table: int
    learning: Learning


@dataclass(frozen=True)
class Training:
    """What all members share."""

    config: MlpProbeConfig
    seed: int
    device: torch.device
    label_smoothing: float = 0.0
    watch: Watch = unwatched
    """Hears of the epochs of each part of the grid."""


def fit_mlp_probes(
    train: Sequence[FeatureTable],
    validation: Sequence[FeatureTable],
    starts: Sequence[Head],
    training: Training,
) -> list[Chosen]:
    """For each pair of tables the trained head of the best validation accuracy, on the CPU; of equals that of
    the most weight decay, and then of the lowest learning rate.

    Tables are of the same clouds, and `starts` new heads for each. Raises DataError where a cloud has no
    label, or where there is one alone.
    """
    for table in (*train, *validation):
        table.require_labels("An MLP probe")
    if len(train[0].labels) < 2:
        raise DataError(
            f"An MLP probe met {len(train[0].labels)} training cloud.",
            expected="two or more, as batch normalisation needs",
            remedy="choose another set, or raise samples_per_class",
        )
    config, found = training.config, [list[Chosen]() for _ in train]
    settings = list(product(sorted(config.weight_decays, reverse=True), sorted(config.learning_rates)))
    members = [
        Member(table, Learning(rate, decay)) for table in range(len(train)) for decay, rate in settings
    ]
    for member, head in zip(members, train_grid(train, starts, members, training), strict=True):
        accuracy = accuracy_of(head, validation[member.table])
        found[member.table].append(Chosen(head, accuracy, dict(vars(member.learning))))
    return [max(of_table, key=lambda chosen: chosen.accuracy) for of_table in found]


def train_grid(
    tables: Sequence[FeatureTable], starts: Sequence[Head], members: Sequence[Member], training: Training
) -> list[Head]:
    """The trained head of each member, for features as they are, on the CPU."""
    scales = [Scale.of(table.features) for table in tables]
    clouds = _Clouds.of(tables, scales, training.device)
    width = clouds.rows.shape[2]
    wide = [with_first_layer(start, widened(first_layer(start).weight, width)) for start in starts]
    size = max(1, MOST_BYTES // (16 * sum(weight.numel() for weight in wide[0].parameters())))
    parts = [members[first : first + size] for first in range(0, len(members), size)]
    heads = []
    for done, part in enumerate(parts):
        networks = [copy.deepcopy(wide[member.table]).to(training.device) for member in part]
        _train(networks, part, clouds, training, partial(_tell, training, done, len(parts)))
        trained = zip(networks, part, strict=True)
        heads += [scales[member.table].folded_into(network.cpu()) for network, member in trained]
    return heads


@dataclass(frozen=True)
class _Clouds:
    """Training clouds in every table, standardised and equally wide."""

    rows: Float[Tensor, "tables samples features"]
    labels: Int64[Tensor, " samples"]

    @classmethod
    def of(cls, tables: Sequence[FeatureTable], scales: Sequence[Scale], device: torch.device) -> "_Clouds":
        width = max(table.features.shape[1] for table in tables)
        pairs = zip(scales, tables, strict=True)
        rows = [widened(scale.standardised(table.features), width) for scale, table in pairs]
        return cls(torch.stack(rows).to(device), tables[0].labels.to(device))


def _train(
    networks: Sequence[Head],
    members: Sequence[Member],
    clouds: _Clouds,
    training: Training,
    tell: Callable[[int], None],
) -> None:
    """Train the networks of these members, all in one."""
    together, device = SideBySide(networks, [member.learning for member in members]), training.device
    tables = torch.tensor([member.table for member in members], device=device)
    epochs = [_batches(len(clouds.labels), epoch, training) for epoch in range(training.config.epochs)]
    num_steps, step = sum(map(len, epochs)), 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_integer(training.seed, "mlp_probe", "dropout"))
        for epoch, batches in enumerate(epochs):
            tell(epoch)
            for batch in batches:
                at = torch.from_numpy(batch).to(device)
                together.step(
                    clouds.rows[:, at][tables],
                    clouds.labels[at],
                    rate_factor=_half_cosine(step / num_steps),
                    label_smoothing=training.label_smoothing,
                )
                step += 1
    tell(len(epochs))
    together.write_back()


def _batches(num_samples: int, epoch: int, training: Training) -> list[Int64[np.ndarray, " batch"]]:
    """Rows of each mini-batch: all of them once, in sizes that differ by one at most."""
    rows = generator(training.seed, "mlp_probe", epoch).permutation(num_samples)
    return np.array_split(rows, max(1, num_samples // training.config.batch_size))


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _tell(training: Training, parts_done: int, num_parts: int, epoch: int) -> None:
    epochs = training.config.epochs
    training.watch(parts_done * epochs + epoch, num_parts * epochs)
