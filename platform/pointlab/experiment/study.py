"""`kind: study`: a matrix of transfers, each an ordinary experiment, compared with one of the starts."""

from collections.abc import Iterator

from pydantic import Field, model_validator

from pointlab.config import ADDED_LATER
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.baselines import require_random_weights
from pointlab.experiment.budget import Budget, require_no_length
from pointlab.experiment.cells import OF_THE_CELL, Settings, StudyCells
from pointlab.experiment.chains import OF, chain_of, require_chains
from pointlab.experiment.matrix import Selection, require_known


class StudyExperiment(StudyCells):
    """All cells, with what they are compared with and by."""

    baseline: str = "scratch"
    """The start with which all others are compared."""
    measure: str = "test/accuracy"
    """What is compared: an accuracy, or such as `test/miou` of segmentations."""
    further_measures: tuple[str, ...] = ()
    """What is compared as well, each by itself, at the cells that have it; every cell has one of all."""
    budget: Budget | None = Field(default=None, json_schema_extra=ADDED_LATER)
    """What all pretrainings get equally much of; their epochs follow, and nothing else says them."""
    max_concurrent: int | None = Field(default=None, ge=1, json_schema_extra={"identity": False})
    """Experiments at a time; null runs as many as the cluster has room for."""

    @property
    def seed(self) -> int:
        """Its cells have seeds; of its own it has none."""
        return 0

    @property
    def measures(self) -> tuple[str, ...]:
        """All that is compared."""
        return self.measure, *self.further_measures

    @property
    def stamp(self) -> str:
        """Its figures are summaries of many runs, and compare with no single one."""
        return "study"

    @model_validator(mode="after")
    def _parts_fit(self) -> "StudyExperiment":
        if self.baseline not in self.starts:
            raise ValueError(f"baseline is {self.baseline!r}, but starts has only {', '.join(self.starts)}")
        require_chains(self.starts)
        for where, settings, reserved in self._reserved():
            if taken := sorted(reserved & settings.keys()):
                raise ValueError(f"{where} sets {', '.join(taken)}, which the study says of every cell")
        for where, selection in self._selections():
            require_known(selection, self.axes, where)
        self._require_adjustments_that_count()
        self._require_room_that_counts()
        if self.budget is not None:
            require_no_length(self._pretraining_settings())
        names = [(cell.experiment.name, cell.levels.seed) for cell in self.cells]
        if not names:
            raise ValueError("only and exclude leave no cell")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two cells are called {twice[0]} with seed {twice[1]}: rename a level")
        require_random_weights(self.cells)
        self._require_measured()
        self._require_one_stamp_a_column()
        self._require_one_set_a_place()
        return self

    def _require_room_that_counts(self) -> None:
        """ValueError for settings of the launch that a study would leave without effect."""
        if self.launch.num_workers != 1:
            raise ValueError(
                f"launch.num_workers is {self.launch.num_workers}, but every experiment of a study trains on"
                " one worker: leave it out, and set max_concurrent for how many run at a time"
            )
        if self.launch.kind == "local" and self.max_concurrent is not None:
            raise ValueError("max_concurrent is for launch.kind ray: in one process experiments take turns")

    def _require_adjustments_that_count(self) -> None:
        """ValueError for settings of pretrainings that are for transfers alone: nothing would read them."""
        for number, adjustment in enumerate(self.adjustments):
            chosen = [str(start) for start in adjustment.where.get("start", ())]
            if adjustment.pretraining and chosen and all(OF in (self.starts[name] or {}) for name in chosen):
                ends = dict.fromkeys(list(chain_of(name, self.starts))[-1] for name in chosen)
                raise ValueError(
                    f"adjustments[{number}].pretraining is for {', '.join(chosen)}, which starts from a"
                    f" transfer: say it for {', '.join(ends)}, or make another start of it"
                )

    def _require_measured(self) -> None:
        """ValueError for a measure that no cell has, and for a cell without any, such as an untested one."""
        measures, found = self.measures, set[str]()
        if len(set(measures)) < len(measures):
            raise ValueError(f"measure and further_measures name one twice: {', '.join(measures)}")
        for cell in self.cells:
            found.update(known := cell.experiment.accuracies)
            if not set(known) & set(measures):
                raise ValueError(
                    f"measure is {' or '.join(map(repr, measures))}, which the cell {cell.levels.name} will"
                    f" not have: it has {', '.join(known)}"
                )
        for measure in measures:
            if measure not in found:
                known_names = ", ".join(sorted(found))
                raise ValueError(f"further_measures: no cell will have {measure!r}; they have {known_names}")

    def _require_one_stamp_a_column(self) -> None:
        """ValueError where an adjustment makes another protocol, or other sentences, of some cells.

        Their mean would be of neither, and a difference between them no gain of a start.
        """
        found: dict[tuple[str, str], str] = {}
        for cell in self.cells:
            stamp, protocol = cell.experiment.stamp, cell.levels.protocol
            if (other := found.setdefault((protocol, cell.levels.labels), stamp)) != stamp:
                raise ValueError(
                    f"protocol {protocol} is {other} in one cell and {stamp} in {cell.levels.name} with seed"
                    f" {cell.levels.seed}, which would be compared: make two protocols of them"
                )

    def _require_one_set_a_place(self) -> None:
        """ValueError where cells of a start were to have parents on different sets under one name."""
        found: dict[str, DatasetConfig] = {}
        for cell in self.cells:
            for role, config in cell.experiment.datasets.items():
                place = cell.place_of(role)
                if (other := found.setdefault(place, config)) != config:
                    raise ValueError(
                        f"{place} is {other.name} in one cell and {config.name} in {cell.levels.name}:"
                        " make two starts of them"
                    )

    def _reserved(self) -> Iterator[tuple[str, Settings, frozenset[str]]]:
        """Every mapping of settings, and what it may not say."""
        target = OF_THE_CELL | {"pretrained", "samples_per_class"}
        yield "pretraining", self.pretraining, OF_THE_CELL | {"data", "paradigm"}
        for name, start in self.starts.items():
            is_transfer = OF in (start or {})
            yield f"starts.{name}", start or {}, OF_THE_CELL | ({"pretrained"} if is_transfer else {"data"})
        for name, route in self.routes.items():
            yield f"routes.{name}.pretrain", route.pretrain, OF_THE_CELL | {"paradigm"}
            yield f"routes.{name}.transfer", route.transfer, target
        for name, protocol in self.protocols.items():
            yield f"protocols.{name}", protocol, target | {"data", "shifted"}
        for number, adjustment in enumerate(self.adjustments):
            yield f"adjustments[{number}].pretraining", adjustment.pretraining, OF_THE_CELL | {"data"}
            yield f"adjustments[{number}].transfer", adjustment.transfer, target | {"data", "shifted"}

    def _pretraining_settings(self) -> Iterator[tuple[str, Settings]]:
        """Where settings of pretrainings are, but for adjustments, which say what a budget has come to."""
        yield "pretraining", self.pretraining
        for name, start in self.starts.items():
            yield f"starts.{name}", start or {}
        for name, route in self.routes.items():
            yield f"routes.{name}.pretrain", route.pretrain

    def _selections(self) -> Iterator[tuple[str, Selection]]:
        for number, selection in enumerate(self.only):
            yield f"only[{number}]", selection
        for number, selection in enumerate(self.exclude):
            yield f"exclude[{number}]", selection
        for number, adjustment in enumerate(self.adjustments):
            yield f"adjustments[{number}].where", adjustment.where
