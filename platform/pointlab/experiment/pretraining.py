"""How a pretraining is carried out: data, a new backbone, frozen networks to learn from, and the loop."""

from dataclasses import dataclass, replace
from typing import Any

from pointlab.errors import PreemptedError
from pointlab.experiment.features import Watch, build_features
from pointlab.experiment.finished_teachers import require_same_teachers
from pointlab.experiment.pixel_maps import build_pixel_maps, notes_on_pixels
from pointlab.experiment.prepared_data import Data, open_data
from pointlab.experiment.pretrain import PretrainExperiment
from pointlab.experiment.providers import build_providers, needs_of
from pointlab.experiment.rebuilt import publish_rebuilt
from pointlab.experiment.resolve import Findings, Resolved, findings_of
from pointlab.experiment.stored_models import publish_model, seeded, seeded_backbone
from pointlab.paradigms import Paradigm, build_paradigm
from pointlab.training import Run, TrainContext, Trainer


@dataclass(frozen=True)
class Pretraining:
    """A paradigm on its data, at the step that its run has come to."""

    paradigm: Paradigm
    trainer: Trainer
    data: Data
    needs: dict[str, Any]
    """What the exported modules cannot be used without."""


def pretrain(resolved: Resolved[PretrainExperiment], context: TrainContext) -> Findings:
    """Train, store the exported modules, and hand over the validation figures of the selected step."""
    experiment, made = resolved.experiment, put_together(resolved, context)
    result = made.trainer.train()
    publish_model(
        context.storage,
        resolved.run,
        made.paradigm.exported(),
        experiment.backbone,
        made.data.class_names_of(made.paradigm),
        needs=made.needs,
    )
    publish_rebuilt(
        context.storage, resolved.run, made.paradigm, made.data, device=context.device, seed=experiment.seed
    )
    findings = findings_of(result)
    told = experiment.notes | notes_on_pixels(experiment.paradigm, made.data)
    return replace(findings, notes=findings.notes | told)


def put_together(resolved: Resolved[PretrainExperiment], context: TrainContext) -> Pretraining:
    """All that is trained and learned from; features of teachers that this machine lacks are computed."""
    experiment = resolved.experiment
    data = open_data(context.storage, resolved.datasets["data"], experiment.num_points)
    providers = build_providers(resolved, context.storage)
    needs = needs_of(resolved, providers, context.storage)
    require_same_teachers(context.storage, resolved.run, needs)
    watch = _watched(resolved.run, context)
    providers |= build_features(resolved, context.storage, data, context.device, watch)
    providers |= build_pixel_maps(resolved, context.storage, data, context.device, watch)
    backbone = seeded_backbone(experiment.backbone, experiment.seed)
    with seeded(experiment.seed, "paradigm"):
        given = replace(data.given(), providers=providers)
        paradigm = build_paradigm(experiment.paradigm, backbone, given)
    training = data.for_training(
        experiment.seed, experiment.augmentation, experiment.training.batch_size, paradigm
    )
    run = Run(context.storage, resolved.run, context.fence)
    trainer = Trainer(paradigm, experiment.training, context, training, run)
    return Pretraining(paradigm, trainer, data, needs)


def _watched(run: str, context: TrainContext) -> Watch:
    """Shows how many features are computed, and ends with PreemptedError where the run is asked to end."""

    def watch(what: str, done: int, total: int) -> None:
        context.watch(f"features of {what}", done, total, {})
        if context.should_stop():
            raise PreemptedError(
                f"{run} was asked to end with {done} of {total} features of {what} computed; they are kept.",
                remedy="run the same command again: it goes on from there",
            )

    return watch
