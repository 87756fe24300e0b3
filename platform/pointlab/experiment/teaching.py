"""How a teacher is trained: the ordinary loop on pictures, and at its end a folder of `transformers`."""

from dataclasses import replace

from pointlab import distributed
from pointlab.data.augmentation import AugmentationConfig
from pointlab.errors import DataError
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.stored_models import publish_once, seeded
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.provenance import code_version
from pointlab.teachers import Teacher, build_teacher
from pointlab.teachers.card import Account
from pointlab.teachers.export import export
from pointlab.teachers.folders import WEIGHTS
from pointlab.training import Run, TrainContext, Trainer

NUM_POINTS = 1
"""Points of a cloud that are fed: nobody looks at them."""
AS_STORED = AugmentationConfig(scale=(1, 1), translation=0, random_subset=False)


def teach(resolved: Resolved[TeacherExperiment], context: TrainContext) -> Findings:
    """Train, store the network as a folder of `transformers`, and hand over the validation figures."""
    experiment = resolved.experiment
    teacher, trainer, data = put_together(resolved, context)
    result = trainer.train()
    findings = findings_of(result)
    if distributed.rank() > 0:
        return findings
    exported = export(
        teacher.network.cpu(),
        experiment.network,
        teacher.tokenizer,
        Account(resolved.run, code_version(), data.manifest, result),
    )
    details = {"network": experiment.network.model_dump(mode="json"), "sha256": exported.sha256}
    path = f"runs/{resolved.run}/model"
    publish_once(context.storage, path, "teacher", exported.files, details, decisive=(WEIGHTS,))
    return replace(findings, notes=findings.notes | {"sha256 of the weights": exported.sha256})


def put_together(
    resolved: Resolved[TeacherExperiment], context: TrainContext
) -> tuple[Teacher, Trainer, Data]:
    """The network, what trains it, at the step that its run has come to, and the set."""
    experiment = resolved.experiment
    data = open_data(context.storage, resolved.datasets["data"], NUM_POINTS)
    _require_labels_of_all_or_none(data)
    with seeded(experiment.seed, "teacher"):
        teacher = build_teacher(
            experiment.network, experiment.augmentation, data.manifest.class_names, data.given().captions
        )
    training = data.for_training(experiment.seed, AS_STORED, experiment.training.batch_size, teacher)
    run = Run(context.storage, resolved.run, context.fence)
    return teacher, Trainer(teacher, experiment.training, context, training, run), data


def _require_labels_of_all_or_none(data: Data) -> None:
    """DataError for a validation split of which some clouds have no label: accuracy would be wrong."""
    if not data.manifest.rows.get("validation"):
        return
    labels = data.split("validation").labels
    if 0 < (num_labelled := int((labels >= 0).sum())) < len(labels):
        raise DataError(
            f"Only {num_labelled} of {len(labels)} clouds of {data.name} for validation have a label.",
            expected="a label for every cloud, or for none",
            remedy="complete the labels, or take them out",
        )
