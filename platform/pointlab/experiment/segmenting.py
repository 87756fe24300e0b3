"""Transfers to semantic segmentation: a class for every point of a scene.

Both protocols train: `full` the backbone with a new head, `linear_probe` the head alone, on a backbone that
is frozen in eval mode. A probe by the convex solve that classification has would need the features of all
points of all scenes at once.
"""

from dataclasses import replace

import torch

from pointlab import distributed
from pointlab.backbones import Backbone, build_backbone
from pointlab.evaluation.parts import ShapeIous, parts_by_class
from pointlab.evaluation.segmentation import (
    Segmenter,
    Viewing,
    measure_scenes,
    require_labelled,
    segmentation_metrics,
)
from pointlab.experiment.frozen import OF_RANDOM_WEIGHTS
from pointlab.experiment.prepared_data import Data
from pointlab.experiment.resolve import Findings, findings_of
from pointlab.experiment.segmented import publish_scene
from pointlab.experiment.stored_models import model_manifest, publish_model, read_module, seeded
from pointlab.experiment.transfer import TransferExperiment
from pointlab.experiment.transfer_task import TransferTask
from pointlab.paradigms.segmentation import Segmentation, build_point_head
from pointlab.storage import Storage
from pointlab.training import Run, Trainer
from pointlab.training.checkpoint import load_weights


def segment(task: TransferTask) -> Findings:
    """Train as the protocol says, store backbone and head, and measure the validation split on all points.

    Raises DataError, before anything is trained, where a split to be tested on has no labels.
    """
    experiment = task.experiment
    if experiment.test:
        for data in task.data.values():
            require_labelled(data.split("test"))
    start = task.frozen_start() if experiment.protocol == "linear_probe" else task.start()
    trainer, paradigm = with_new_point_head(task, start)
    result = trainer.train()
    if distributed.rank() > 0:
        return Findings({})
    publish_model(
        task.context.storage,
        task.resolved.run,
        paradigm.exported(),
        experiment.architecture,
        task.target.class_names_of(paradigm),
    )
    findings = findings_of(result)
    if trainer.data.validation is not None:
        where = task.context.storage, task.target, task.context.device
        figures = measure_segmentation(experiment, task.resolved.run, *where, split="validation")
        findings.metrics.update({f"target-validation/{name}": value for name, value in figures.items()})
    return replace(findings, notes=findings.notes | _notes(task, trainer.data.num_rows))


def with_new_point_head(task: TransferTask, start: Backbone) -> tuple[Trainer, Segmentation]:
    """The start and a head that is drawn by the seed, at the step that the run has come to."""
    experiment, subset = task.experiment, task.subset()
    is_probe = experiment.protocol == "linear_probe"
    with seeded(experiment.seed, "head"):
        given = task.target.given(subset)
        paradigm = Segmentation(experiment.segmentation, start, given, is_probe=is_probe)
    training = task.target.for_training(
        experiment.seed, experiment.augmentation, experiment.training.batch_size, paradigm, subset=subset
    )
    run = Run(task.context.storage, task.resolved.run, task.context.fence)
    return Trainer(paradigm, experiment.training, task.context, training, run), paradigm


def _notes(task: TransferTask, num_rows: int) -> dict[str, str]:
    """What a reader of its figures should know."""
    experiment, all_rows = task.experiment, task.target.manifest.rows["train"]
    frozen = OF_RANDOM_WEIGHTS if task.is_random and experiment.protocol == "linear_probe" else {}
    return {
        **frozen,
        **_on_windows(experiment),
        "trained on": f"{num_rows:,} of {all_rows:,} clouds",
        "validation while it trains": f"the first {experiment.num_points:,} stored points of each cloud",
        "target validation and test": f"all stored points, in {experiment.scene_views}",
        "mIoU": "over the classes that occur in the split's labels",
        **_on_parts(task.target),
    }


def _on_parts(target: Data) -> dict[str, str]:
    """How figures of parts are made, where there are any."""
    if parts_by_class(target.manifest.class_names, target.manifest.part_names) is None:
        return {}
    how = (
        "each point named as a part of its shape's own category, an absent part counting as 1; over shapes,"
        " or over categories of the mean over their shapes; all stored points, once each"
    )
    return {"instance and class mIoU": how}


def _on_windows(experiment: TransferExperiment) -> dict[str, str]:
    """That what was trained on is not what is asked about, where one of the two is whole scenes."""
    trained, asked = experiment.augmentation.window, experiment.scene_views.window
    if (trained is None) == (asked is None):
        return {}
    shown = "whole scenes" if trained is None else f"windows of {trained:g}"
    return {"scenes": f"trained on {shown}, tested in {experiment.scene_views}: set both windows, or neither"}


def read_segmenter(experiment: TransferExperiment, run: str, storage: Storage) -> Segmenter:
    """What `run`, a finished segmentation, left in the store."""
    names = tuple(model_manifest(storage, run).details["class_names"])
    backbone = build_backbone(experiment.architecture)
    head = build_point_head(experiment.segmentation, backbone.point_width, len(names))
    for name, module in (("backbone", backbone), ("head", head)):
        load_weights(module, read_module(storage, run, name))
    return Segmenter(backbone, head, names)


def measure_segmentation(
    experiment: TransferExperiment,
    run: str,
    storage: Storage,
    data: Data,
    device: torch.device,
    *,
    split: str = "test",
) -> dict[str, float]:
    """Figures of what `run` left on all points of a split of the set."""
    segmenter = read_segmenter(experiment, run, storage)
    shown, shapes = data.split(split), _shapes(data, split)
    counts = measure_scenes(segmenter, shown, _viewing(experiment), device, shapes=shapes)
    figures = segmentation_metrics(counts, segmenter.class_names)
    return figures if shapes is None else figures | shapes.figures(data.manifest.class_names)


def _shapes(data: Data, split: str) -> ShapeIous | None:
    """Where figures of parts are gathered; None of a set whose points are not parts of objects."""
    parts = parts_by_class(data.manifest.class_names, data.manifest.part_names)
    has_categories = bool((data.split(split).labels >= 0).all())
    return ShapeIous(parts) if parts is not None and has_categories else None


def show_segmentation(task: TransferTask) -> None:
    """Store a scene of the target's test split for the page, as the finished run sees it."""
    experiment, run, storage = task.experiment, task.resolved.run, task.context.storage
    segmenter = read_segmenter(experiment, run, storage)
    split = task.target.split("test")
    device = task.context.device
    publish_scene(storage, run, segmenter, split, viewing=_viewing(experiment), device=device)


def _viewing(experiment: TransferExperiment) -> Viewing:
    return Viewing(experiment.scene_views, experiment.num_points, experiment.training.batch_size)
