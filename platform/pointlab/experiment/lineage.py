"""What an experiment starts from: its parents and theirs, to any depth.

A parent is written out within its child, so the whole lineage is known before any of it is made.
"""

from collections.abc import Mapping
from typing import Any

from pointlab.experiment.analyse import AnalyseExperiment
from pointlab.experiment.evaluate import EvaluateExperiment
from pointlab.experiment.imported import ImportExperiment
from pointlab.experiment.match import MatchExperiment
from pointlab.experiment.placement import LaunchConfig, StorageConfig
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.resolve import Resolved, is_fine_tuning, make_definite, share_of_parent
from pointlab.experiment.retrieve import RetrieveExperiment
from pointlab.experiment.search import SearchExperiment
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.experiment.transfer import TransferExperiment

Trained = PretrainExperiment | ImportExperiment | TransferExperiment | TeacherExperiment


def parents_of(experiment: Any) -> dict[str, Trained]:
    """The experiments whose results `experiment` starts from, by role; each may have parents of its own.

    Those of a search are what all of its trials share; each trial has a fine-tuning of its own.
    """
    match experiment:
        case SearchExperiment():
            return {} if experiment.varies_pretraining else dict(experiment.transfer.origins)
        case EvaluateExperiment():
            return {"classifier": experiment.classifier}
        case PretrainExperiment() | TransferExperiment() | AnalyseExperiment():
            return dict(experiment.parents)
        case RetrieveExperiment() | MatchExperiment():
            return dict(experiment.parents)
        case _:
            return {}


def make_lineage_definite(experiment: Trained, datasets: Mapping[str, str]) -> list[Resolved[Any]]:
    """The runs of `experiment` and of all that it starts from, parents before their children, itself last.

    Nothing is made or looked up but the identities, which follow from the prepared sets. A parent that
    several share is named as often.
    """
    lineage: list[Resolved[Any]] = []
    parents: dict[str, str] = {}
    for role, parent in parents_of(experiment).items():
        lineage += make_lineage_definite(parent, share_of_parent(role, datasets))
        parents[role] = lineage[-1].run
    return [*lineage, make_definite(experiment, dict(datasets), parents)]


def placed_by(experiment: Any, parent: Trained) -> Trained:
    """`parent` as `experiment` has it made: in its own process too, if it states that it runs in one.

    A parent that states a launch of its own keeps it.
    """
    here = "launch" in experiment.model_fields_set and experiment.launch.kind == "local"
    if not here or "launch" in parent.model_fields_set or parent.launch.kind == "local":
        return parent
    return parent.model_copy(update={"launch": experiment.launch})


def in_one_process(
    experiment: Any, launch: LaunchConfig | None = None, storage: StorageConfig | None = None
) -> Any:
    """`experiment` and its whole lineage, each to run in the process that asks for it.

    The other settings of each launch hold there too, unless `launch` and `storage` are to take their places.
    None of this counts for the identity of a run. A fine-tuning follows the mixture that it is for.
    """
    local = (launch or experiment.launch).model_copy(update={"kind": "local"})
    written = {role: each for role, each in parents_of(experiment).items() if not is_fine_tuning(role)}
    parents = {role: in_one_process(each, launch, storage) for role, each in written.items()}
    return experiment.model_copy(
        update={"launch": local, "storage": storage or experiment.storage, **parents}
    )
