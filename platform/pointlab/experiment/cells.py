"""What the cells of a study are made of: its axes, and the settings of each combination of their levels.

The axes are what a backbone starts from, which backbone it is, the route from one set to another, the
protocol, the labels of the target, and the seed. A cell's pretraining has the cell's seed, so cells that
differ in nothing but the start saw the same labels and can be compared in pairs. What a pretraining itself
starts from, a stage I or a teacher, keeps the name and seed that are written out for it: it is made once, for
all seeds and beyond the study, unless an adjustment gives each seed its own. A start may also be a transfer
of another start, so that backbones are compared before and after it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pointlab.backbones import BackboneConfig
from pointlab.config import StrictModel, merge, validate
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.chains import OF, transfers_before
from pointlab.experiment.lineage import in_one_process
from pointlab.experiment.matrix import Axis, Levels, Name, Selection, combinations
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.resolve import definition
from pointlab.experiment.transfer import TransferExperiment

Settings = dict[str, Any]
OF_THE_CELL = frozenset(
    {"kind", "name", "seed", "backbone", "launch", "storage", "fine_tuned_name", "fine_tuning_votes"}
)
"""What the study itself says of every experiment in it."""


class Route(StrictModel):
    """From where to where: settings of the pretraining and of the transfer, their `data` among them."""

    pretrain: Settings
    transfer: Settings


class Adjustment(StrictModel):
    """Further settings for some cells, such as more epochs where there are few labels."""

    where: Selection
    pretraining: Settings = Field(default_factory=dict)
    transfer: Settings = Field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One transfer of a study, and where it lies in the matrix."""

    levels: Levels
    experiment: TransferExperiment

    def place_of(self, role: str) -> str:
        """What the study calls the set that the transfer knows by this role.

        A route has one target and one set to pretrain on; what a pretraining starts from, and where another
        transfer has been, is the start's own.
        """
        route, start = self.levels.route, self.levels.start
        has_been_transferred = isinstance(self.experiment.pretrained, TransferExperiment)
        is_own = "/" in role or (role == "pretrained" and has_been_transferred)
        return f"{route}/{start}/{role}" if is_own else f"{route}/{role}"


def _on_ray_with_a_core(value: Any) -> Any:
    return {"kind": "ray", "cpus_per_worker": 1, **value} if isinstance(value, dict) else value


class StudyCells(StrictModel):
    """Starts x backbones x routes x protocols x labels x seeds, less what is left out."""

    kind: Literal["study"] = "study"
    name: Name
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Three are the fewest whose spread says anything."""
    pretraining: Settings = Field(default_factory=dict)
    """What all pretrainings share."""
    starts: dict[Name, Settings | None] = Field(min_length=1)
    """What is special about each pretraining, its `paradigm` above all; null is no pretraining: random
    weights, which a linear probe freezes like any others. With `of`, the name of another start, it is the
    transfer of that one by the settings beside it, its `data` among them."""
    backbones: dict[Name, BackboneConfig] = Field(min_length=1)
    routes: dict[Name, Route] = Field(min_length=1)
    protocols: dict[Name, Settings] = Field(min_length=1)
    """Settings of the transfer: its `protocol`, and how it trains."""
    samples_per_class: tuple[int | None, ...] = Field(default=(None,), min_length=1)
    """Labelled training clouds of each class; null is all of them."""
    only: tuple[Selection, ...] = ()
    """Combinations to which the study is limited; none, to nothing."""
    exclude: tuple[Selection, ...] = ()
    """Combinations that are left out."""
    adjustments: tuple[Adjustment, ...] = ()
    """Applied in their order, after everything else."""
    launch: Annotated[LaunchConfig, BeforeValidator(_on_ray_with_a_core)] = LaunchConfig(
        kind="ray", cpus_per_worker=1
    )
    """Where experiments run side by side, or one after the other; each of them trains on one worker."""
    storage: StorageConfig = StorageConfig()

    @property
    def axes(self) -> dict[Axis, tuple[Any, ...]]:
        """The levels of every axis."""
        return {
            "route": tuple(self.routes),
            "backbone": tuple(self.backbones),
            "samples_per_class": self.samples_per_class,
            "start": tuple(self.starts),
            "protocol": tuple(self.protocols),
            "seed": self.seeds,
        }

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, validated; ConfigError names the first that has a mistake."""
        chosen = combinations(self.axes, self.only, self.exclude)
        return tuple(_sharing([Cell(levels, self._transfer(levels)) for levels in chosen]))

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """Those of its cells, by the places that these have for them."""
        return {
            cell.place_of(role): config
            for cell in self.cells
            for role, config in cell.experiment.datasets.items()
        }

    def _transfer(self, levels: Levels) -> TransferExperiment:
        settings = merge(self.routes[levels.route].transfer, self.protocols[levels.protocol])
        for adjustment in self._adjustments(levels):
            settings = merge(settings, adjustment.transfer)
        settings |= self._own(levels, levels.name) | {"samples_per_class": levels.samples_per_class}
        settings |= self._from(levels.start, levels)
        experiment: TransferExperiment = validate(
            TransferExperiment, settings, f"the cell {levels.name} with seed {levels.seed}"
        )
        local = self.launch.model_copy(update={"kind": "local", "num_workers": 1})
        placed: TransferExperiment = in_one_process(experiment, local, self.storage)  # the study places it
        return placed

    def _from(self, start: str, levels: Levels) -> Settings:
        """What makes settings those of a transfer of `start`, a level of this cell or one below it."""
        levels = replace(levels, start=start)
        settings, backbone = self.starts[start], self.backbones[levels.backbone]
        if settings is None:
            return {"kind": "transfer", "pretrained": None, "backbone": backbone}
        of = settings.get(OF)
        made = self._pretraining(settings, levels) if of is None else settings | self._from(of, levels)
        own = self._own(levels, _named_after_its_data(made, levels))
        pretrained = {key: value for key, value in (made | own).items() if key != OF}
        return {"kind": "transfer", "pretrained": pretrained, "backbone": None}

    def _pretraining(self, start: Settings, levels: Levels) -> Settings:
        settings = merge(merge(self.pretraining, self.routes[levels.route].pretrain), start)
        for adjustment in self._adjustments(levels):
            settings = merge(settings, adjustment.pretraining)
        return settings | {"kind": "pretrain", "backbone": self.backbones[levels.backbone]}

    def _own(self, levels: Levels, name: str) -> Settings:
        return {"name": f"{self.name}-{name}", "seed": levels.seed}

    def _adjustments(self, levels: Levels) -> Iterator[Adjustment]:
        return (adjustment for adjustment in self.adjustments if levels.are_in(adjustment.where))


def _named_after_its_data(settings: Settings, levels: Levels) -> str:
    """And not after the route: routes may share what they start from."""
    data = settings.get("data")
    origin = data.get("name") if isinstance(data, dict) else None
    return f"{levels.start}-{levels.backbone}-on-{origin or levels.route}"


def _sharing(cells: Sequence[Cell]) -> Iterator[Cell]:
    """The cells, where equal transfers that they are, start from or mix have one name: they are made once.

    It is that of a cell, if one of them is; cells without votes come first, of equal fine-tunings.
    """
    experiments = [cell.experiment for cell in reversed(cells)]
    started = [start for experiment in experiments for start in transfers_before(experiment)]
    names = {_identity(each): each.name for each in (*started, *experiments)}
    for cell in cells:
        yield replace(cell, experiment=_sharing_what_it_takes(cell.experiment, names))


def _sharing_what_it_takes(experiment: TransferExperiment, names: Mapping[str, str]) -> TransferExperiment:
    """The experiment, where its fine-tunings, and its start with all below it, are called as in `names`."""
    start, changes = experiment.pretrained, {}
    if isinstance(start, TransferExperiment):
        named = start.model_copy(update={"name": names[_identity(start)]})
        changes["pretrained"] = _sharing_what_it_takes(named, names)
    plain = experiment.model_copy(update=changes)
    voting = plain.model_copy(update={"fine_tuning_votes": plain.voting is not None})
    with_plain, with_voting = _found(plain, names), _found(voting, names)
    is_voting = len(with_voting) > len(with_plain)
    found = with_voting if is_voting else with_plain
    return (voting if is_voting else plain).model_copy(update={"fine_tuned_name": found} if found else {})


def _found(experiment: TransferExperiment, names: Mapping[str, str]) -> dict[str, str]:
    """By role the names of those of its fine-tunings that are in the study for themselves."""
    identities = {role: _identity(each) for role, each in experiment.fine_tunings.items()}
    return {role: names[each] for role, each in identities.items() if each in names}


def _identity(experiment: TransferExperiment) -> str:
    """What is equal where runs are, but for their names; datasets are told apart by their recipes."""
    defined = definition(experiment, lambda config: config.recipe())
    return json.dumps([experiment.seed, defined], sort_keys=True)
