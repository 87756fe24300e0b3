"""How a teacher is trained: the ordinary loop on pictures, and at its end a folder of `transformers`."""

from dataclasses import replace

from pointlab import distributed
from pointlab.data.augmentation import AugmentationConfig
from pointlab.errors import StorageError
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.teacher import TeacherExperiment
from pointlab.experiment.wiring import open_data, seeded
from pointlab.provenance import code_version
from pointlab.storage import Storage, publish, read_manifest
from pointlab.teachers import build_teacher
from pointlab.teachers.card import Account
from pointlab.teachers.export import Exported, export
from pointlab.teachers.folders import WEIGHTS
from pointlab.training import Run, TrainContext, Trainer

NUM_POINTS = 1
"""Points of a cloud that are fed: nobody looks at them."""
AS_STORED = AugmentationConfig(scale=(1, 1), translation=0, random_subset=False)


def teach(resolved: Resolved[TeacherExperiment], context: TrainContext) -> Findings:
    """Train, store the network as a folder of `transformers`, and hand over the validation figures."""
    experiment = resolved.experiment
    data = open_data(context.storage, resolved.datasets["data"], NUM_POINTS)
    with seeded(experiment.seed, "teacher"):
        teacher = build_teacher(
            experiment.network, experiment.augmentation, data.manifest.class_names, data.captions()
        )
    training = data.for_training(experiment.seed, AS_STORED, experiment.training.batch_size, teacher)
    run = Run(context.storage, resolved.run, context.fence)
    result = Trainer(teacher, experiment.training, context, training, run).train()
    findings = findings_of(result)
    if distributed.rank() > 0:
        return findings
    account = Account(
        resolved.run, code_version(), data.manifest, result.selected_step, result.samples_seen, result.metrics
    )
    exported = export(teacher.network.cpu(), experiment.network, teacher.tokenizer, account)
    _publish(context.storage, resolved, exported)
    return replace(findings, notes=findings.notes | {"sha256 of the weights": exported.sha256})


def _publish(storage: Storage, resolved: Resolved[TeacherExperiment], exported: Exported) -> None:
    """Store the folder at `runs/<run>/model`, unless an earlier attempt that died later left it there."""
    path = f"runs/{resolved.run}/model"
    existing = read_manifest(storage, path)
    if existing is None:
        network = resolved.experiment.network.model_dump(mode="json")
        publish(storage, path, "teacher", exported.files, {"network": network, "sha256": exported.sha256})
    elif existing.files[WEIGHTS].sha256 != exported.sha256:
        raise StorageError(
            f"{storage.locate(path)} holds other weights than this run just computed.",
            expected="equal weights from equal settings",
            remedy=f"find out why (another machine or torch?), delete {storage.locate(path)} and run again",
        )
