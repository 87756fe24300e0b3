"""`kind: transfer`: a pretrained backbone meets a target, and perhaps a shifted version of it."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from pointlab.data.augmentation import AugmentationConfig
from pointlab.data.dataset import DatasetConfig
from pointlab.experiment.changes import phases, require_in_order, require_mutable, require_read
from pointlab.experiment.few_shot_settings import require_foldable, require_one_fold
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.ingredients import (
    require_different_training,
    require_free,
    require_unweighted,
    with_settings,
)
from pointlab.experiment.legacy_settings import require_known_habits
from pointlab.experiment.point_counts import require_points, require_points_for_patches
from pointlab.experiment.pretrain import PretrainExperiment, pretraining_unless_told
from pointlab.experiment.resolve import FINE_TUNED, INGREDIENT, with_datasets_of
from pointlab.experiment.shifts import require_chosen_on, require_corruptible, require_mappable
from pointlab.experiment.tasks import (
    require_few_clouds,
    require_own_settings,
    require_segmentable,
)
from pointlab.experiment.taught import require_taught
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.experiment.transfer_settings import READ_BY_MIXTURES, TransferSettings
from pointlab.transfer.by_depth import require_stages
from pointlab.transfer.read_grid import require_features


class TransferExperiment(TransferSettings):
    """One pretrained backbone (or a random one), one target, one protocol, one seed."""

    pretrained: (
        Annotated[
            "PretrainExperiment | ImportExperiment | TransferExperiment",
            Field(discriminator="kind"),
            BeforeValidator(pretraining_unless_told),
        ]
        | None
    ) = None
    """What `TransferSettings` has; a transfer among them fits together itself."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "TransferExperiment":
        if (self.pretrained is None) == (self.backbone is None):
            raise ValueError("give either pretrained (an experiment) or backbone (an architecture), not both")
        if isinstance(self.pretrained, TransferExperiment) and not self.pretrained.leaves_classifier:
            raise ValueError(
                f"pretrained is a transfer by protocol {self.pretrained.protocol}, which leaves no backbone:"
                " expected another protocol, such as full; or set pretrained to what that one starts from"
            )
        require_points(self.num_points, filter(None, [self.data, self.shifted]))
        self._require_known_changes()
        self._require_known_fine_tunings()
        drawn = self.augmentation if self.has_epochs else AugmentationConfig()
        require_points_for_patches(self.num_points, drawn, self.architecture)
        if self.voting is not None:
            shown = self.num_points, self.voting.augmentation, self.architecture
            require_points_for_patches(*shown, drawn_by="voting.")
        return self

    @model_validator(mode="after")
    def _texts_can_name_classes(self) -> "TransferExperiment":
        """ValueError where zero-shot has no network that learned from texts, or is given what it does not
        read."""
        if self.protocol != "zero_shot":
            if self.text_teacher is not None:
                raise ValueError(
                    f"text_teacher is given, but protocol {self.protocol} has no use for it: leave it out, or"
                    " set protocol to zero_shot"
                )
            return self
        require_taught(self.pretrained, self.text_teacher)
        if self.samples_per_class is not None:
            raise ValueError(
                f"samples_per_class is {self.samples_per_class}, but protocol zero_shot trains on nothing:"
                " expected null; leave it out, in a study by exclude"
            )
        return self

    @model_validator(mode="after")
    def _weights_can_be_averaged(self) -> "TransferExperiment":
        """ValueError for a head that no probe can begin, and for ingredients that make no soup."""
        if self.protocol == "lp_ft" and self.supervised.head.kind != "linear":
            raise ValueError(
                f"supervised.head.kind is {self.supervised.head.kind}, but protocol lp_ft begins with a"
                " linear probe: set supervised.head.kind to linear, in a study by adjustments"
            )
        if self.is_mixed and self.mixture.by_depth is not None:
            require_stages(self.architecture, self.mixture.by_depth)
        if self.protocol == "soup":
            require_free(self.soup)
            require_unweighted(self.mixture)
            require_different_training(tuple(self.fine_tunings.values()), self.supervised)
            if self.mixture.batch_norm == "fine_tuned":
                raise ValueError(
                    "mixture.batch_norm is fine_tuned, but a soup has several fine-tuned ends: set it to"
                    " reestimate or interpolate"
                )
        return self

    @model_validator(mode="after")
    def _heads_on_frozen_features_fit(self) -> "TransferExperiment":
        """ValueError for a feature that nothing reads or that there is not, and for an MLP that is none."""
        self._require_read_grids()
        if self.grid is not None:
            require_features(self.architecture, self.grid)
        if self.grid is self.mlp_probe and self.supervised.head.kind == "linear":
            raise ValueError(
                "supervised.head.kind is linear, but protocol mlp_probe trains an MLP: set"
                " supervised.head.kind to mlp3, in a study by adjustments, or protocol to linear_probe"
            )
        return self

    def _require_read_grids(self) -> None:
        """ValueError for stages or poolings of a head that this transfer does not fit."""
        for protocol, grid in self.grids.items():
            if self.grid is grid or grid.reads_as_trained:
                continue
            name = "probe" if protocol == "linear_probe" else protocol
            if self.segments:
                why, otherwise = "task segmentation reads points", ""
            elif self.trains_probe:
                why, otherwise = "legacy trains the head on the pooled feature", ", or leave out legacy"
            else:
                why = f"protocol {self.protocol} does not fit that head"
                otherwise = f", or set protocol to {protocol}"
            raise ValueError(
                f"{name}.stages or {name}.poolings is set, but {why}: leave them out, in a study by"
                f" adjustments{otherwise}"
            )

    @model_validator(mode="after")
    def _shifts_fit(self) -> "TransferExperiment":
        """ValueError for a shift that cannot be measured, or one that is to choose and is not there."""
        has_corruptions = self.corruptions is not None
        require_chosen_on(
            self.mixture.selection, has_shifted=self.shifted is not None, has_corruptions=has_corruptions
        )
        require_mappable(self.shifted_classes, self.protocol, has_shifted=self.shifted is not None)
        if self.corruptions is not None and not self.segments:
            shown = self.data, self.num_points, self.architecture
            require_corruptible(self.corruptions, *shown, self.protocol)
        return self

    @model_validator(mode="after")
    def _folds_and_votes_fit(self) -> "TransferExperiment":
        """ValueError where there would be no folds, or something to choose on that is not there."""
        if self.protocol == "few_shot":
            require_foldable(
                self.few_shot,
                self.data,
                self.training,
                is_tested=self.test,
                has_shifted=self.shifted is not None,
                samples_per_class=self.samples_per_class,
                chooses_on_queries=self.chooses_on_test,
            )
            if self.voting is not None:
                raise ValueError(
                    "voting is set, but protocol few_shot leaves no classifier to vote: leave it out"
                )
        else:
            require_one_fold(self.data)
        return self

    @model_validator(mode="after")
    def _changes_fit(self) -> "TransferExperiment":
        """ValueError for changes in a training that has none, at no time of it, or to what cannot change."""
        if not self.changes:
            return self
        if self.segments or not (self.protocol == "full" or self.is_mixed):
            raise ValueError(
                f"changes are given, but protocol {self.stamp} does not fine-tune clouds in one training:"
                " leave them out, or set protocol to full, wise_ft or wise_ft_lp"
            )
        require_in_order(self.changes, self.training)
        for number, change in enumerate(self.changes):
            where = f"changes.{number}.settings"
            require_mutable(tuple(change.settings), where)
            require_read(tuple(change.settings), self.unread, where)
        assert self.phases, "each is checked as a transfer of its own"
        return self

    @model_validator(mode="after")
    def _habits_fit(self) -> "TransferExperiment":
        """ValueError for habits of released code that this protocol cannot have."""
        if self.legacy is None:
            return self
        tunes_folds = self.protocol == "few_shot" and self.few_shot.head == "full"
        require_known_habits(
            self.legacy,
            self.protocol,
            self._as_pretrained,
            self.supervised,
            trains_head=self.trains_probe,
            tunes=self.protocol == "full" or tunes_folds,
        )
        if not self.chooses_on_test:
            return self
        if not self.test:
            raise ValueError(
                "legacy.best_on_test chooses on the test split, but test is false: leave legacy.best_on_test"
                " out, or set test to true"
            )
        if self.training.selection == "last":
            raise ValueError(
                "legacy.best_on_test keeps the best epoch, but training.selection is last: set it to best"
            )
        return self

    @model_validator(mode="after")
    def _task_fits(self) -> "TransferExperiment":
        """ValueError for a setting that the task has no use for, or a protocol that it does not have."""
        if self.segments:
            require_segmentable(self.protocol, self.samples_per_class, self.segmentation, self.architecture)
        else:
            require_few_clouds(self.labelled_scenes)
        require_own_settings(self, self.task)
        return self

    def _require_known_fine_tunings(self) -> None:
        """ValueError for names of fine-tunings that there are not."""
        if self.fine_tuned_name is not None and not self.averages:
            raise ValueError(
                f"fine_tuned_name is {self.fine_tuned_name}, but protocol {self.protocol} mixes nothing:"
                " leave it out"
            )
        roles = self._roles_of_fine_tunings
        if isinstance(self.fine_tuned_name, dict) and (unknown := self.fine_tuned_name.keys() - roles):
            raise ValueError(
                f"fine_tuned_name names {min(unknown)}, which is no fine-tuning of this transfer: expected"
                f" {', '.join(roles)}"
            )

    def _require_known_changes(self) -> None:
        """ValueError for a setting that this backbone has not, or that only training would read."""
        if self.drop_path_rate is not None and self.trains_probe and not self.drifts:
            raise ValueError(
                f"drop_path_rate is {self.drop_path_rate}, but the frozen backbone is in evaluation mode,"
                " where it drops nothing: leave it out, or set legacy.drifting_batch_norm to true"
            )
        if self.drop_path_rate is not None and not self.trains:
            raise ValueError(
                f"drop_path_rate is {self.drop_path_rate}, but protocol {self.protocol} has no use for it, as"
                " it does not train the backbone: leave it out; in a study, set it in adjustments for the"
                " protocols that do"
            )
        for name, value in self._changes.items():
            if name not in type(self._as_pretrained).model_fields:
                raise ValueError(
                    f"{name} is {value}, but the backbone, a {self._as_pretrained.kind}, has no such setting:"
                    f" leave {name} out"
                )

    @property
    def origins(
        self,
    ) -> "dict[str, PretrainExperiment | ImportExperiment | TransferExperiment | TeacherExperiment]":
        """The experiments to finish first that are written out in it: what is transferred, a text teacher
        that is trained here."""
        named = {"pretrained": self.pretrained, "text_teacher": self.text_teacher}
        made = (PretrainExperiment, ImportExperiment, TransferExperiment, TeacherExperiment)
        return {role: each for role, each in named.items() if isinstance(each, made)}

    @property
    def phases(self) -> "list[TransferExperiment]":
        """What is trained, one after the other in one run: the transfer itself, or from change to change."""
        return phases(self, self.changes, self.training) if self.changes else [self]

    @property
    def fine_tuning(self) -> "TransferExperiment | None":
        """What a mixture mixes with its start: the same transfer under protocol full, launched and stored
        likewise. None where nothing is mixed."""
        return self.fine_tunings.get(FINE_TUNED)

    @property
    def fine_tunings(self) -> dict[str, "TransferExperiment"]:
        """What it mixes or averages, by role; all are launched and stored as it is itself."""
        if self.protocol == "soup":
            return {
                role: with_settings(self._under_full(role), values, f"soup.ingredients.{number}")
                for number, (role, values) in enumerate(
                    zip(self._roles_of_fine_tunings, self.soup.ingredients, strict=True)
                )
            }
        return {role: self._under_full(role) for role in self._roles_of_fine_tunings}

    @property
    def _roles_of_fine_tunings(self) -> tuple[str, ...]:
        if self.protocol == "soup":
            return tuple(f"{INGREDIENT}{number}" for number in range(len(self.soup.ingredients)))
        return (FINE_TUNED,) if self.is_mixed else ()

    def _under_full(self, role: str) -> "TransferExperiment":
        """The same transfer under protocol full, without what it would not read."""
        fields = type(self).model_fields
        unread = {name: fields[name].get_default(call_default_factory=True) for name in READ_BY_MIXTURES}
        given, kind = self.fine_tuned_name, self.architecture.kind.replace("_", "-")
        name = given.get(role) if isinstance(given, dict) else given
        return self.model_copy(
            update={
                **unread,
                "protocol": "full",
                "name": name or f"fine-tuned-{kind}-on-{self.data.name}",
                "fine_tuned_name": None,
                "voting": self.voting if self.fine_tuning_votes else None,
                "fine_tuning_votes": False,
            }
        )

    @property
    def parents(
        self,
    ) -> "dict[str, PretrainExperiment | ImportExperiment | TransferExperiment | TeacherExperiment]":
        """All experiments to finish first: its origins, and what it mixes or averages."""
        return {**self.origins, **self.fine_tunings}

    @property
    def datasets(self) -> dict[str, DatasetConfig]:
        """The target, the shifted set, and all that its origins were trained on, as its fine-tuning has."""
        shifted = {} if self.shifted is None else {"shifted": self.shifted}
        return with_datasets_of(self.origins, {"data": self.data, **shifted})
