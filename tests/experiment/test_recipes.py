"""The papers' recipes say which set, how many points and which folds, and differ where the papers do."""

from pathlib import Path
from typing import Any

import pytest

from pointlab.config import apply_overrides, merge, read_yaml, validate
from pointlab.errors import ConfigError
from pointlab.experiment import StudyExperiment, TransferExperiment, load

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDS = "few-shot/point-mae"


def recipe(name: str, **changes: Any) -> TransferExperiment:
    settings = merge(read_yaml(CONFIGS / f"{name}.yaml"), changes)
    experiment: TransferExperiment = validate(TransferExperiment, settings, name)
    return experiment


@pytest.mark.parametrize("method", ["point-mae", "act", "recon"])
def test_each_variant_of_scanobjectnn_goes_with_each_recipe(method: str) -> None:
    variants = {}
    for variant in ("scanobjectnn", "scanobjectnn-obj-bg", "scanobjectnn-obj-only"):
        file = CONFIGS / f"data/{variant}.yaml"
        settings = apply_overrides(
            read_yaml(CONFIGS / f"finetune/{method}.yaml"), [f"data={{extends: {file}}}"]
        )
        experiment: TransferExperiment = validate(TransferExperiment, settings, variant)
        assert (experiment.num_points, experiment.num_groups, experiment.data.normalise) == (
            2048,
            128,
            "none",
        )
        assert experiment.data.name == variant
        variants[experiment.data.source.model_dump()["variant"]] = experiment.data.recipe()
    assert variants.keys() == {"pb_t50_rs", "obj_bg", "obj_only"}
    assert len(set(variants.values())) == 3


@pytest.mark.parametrize("method", ["point-mae", "recon"])
def test_modelnet40_has_1_024_or_8_192_points_in_patches_to_match(method: str) -> None:
    few, many = recipe(f"finetune/{method}-modelnet40"), recipe(f"finetune/{method}-modelnet40-8k")
    assert (few.num_points, few.num_groups) == (1024, 64)
    assert (many.num_points, many.num_groups) == (8192, 512)
    assert many.data.num_points == 8192
    assert (many.data.name, many.data.normalise) == ("modelnet40-8k", "unit_sphere")
    assert many.training == few.training
    assert many.augmentation == few.augmentation


def test_few_shot_is_over_all_released_folds_to_the_last_step() -> None:
    experiment = recipe(FOLDS)
    assert experiment.has_released_folds
    assert experiment.stamp == "few_shot/5-way-10-shot/full"
    assert (experiment.training.epochs, experiment.training.optimiser.learning_rate) == (151, 5e-4)
    assert experiment.data.validation_fraction == 0
    assert experiment.chooses_on == {}
    frozen = recipe("few-shot/recon", few_shot={"head": "svm"}, training={"selection": "best"})
    assert frozen.augmentation.rotation == "vertical"
    assert not frozen.trains


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"source": {"fold": 3}}}, "set data.source.fold to null"),
        ({"few_shot": {"ways": 10}}, "few_shot has 10 ways, 10 shots and 10 folds, but the released folds"),
        ({"data": {"validation_fraction": 0.1}}, "expected data.validation_fraction 0"),
        ({"test": False}, "test true"),
        ({"protocol": "full"}, "data holds all ten folds"),
        ({"training": {"selection": "best"}}, "set training.selection to last"),
    ],
)
def test_what_released_folds_do_not_have_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(FOLDS, **changes)


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("recon", "legacy/full/best-on-test"),
        ("act-linear", "legacy/linear_probe/best-on-test/trained-class-token/drifting-batch-norm"),
        ("point-mae-few-shot", "legacy/few_shot/5-way-10-shot/full/best-on-test"),
    ],
)
def test_habits_of_released_code_have_recipes_of_their_own(name: str, stamp: str) -> None:
    """And no other recipe has any."""
    experiment = recipe(f"legacy/{name}")
    assert experiment.stamp == stamp
    assert experiment.data.validation_fraction == 0
    assert experiment.chooses_on == {}
    others = {path: read_yaml(path) for path in CONFIGS.rglob("*.yaml") if path.parent.name != "legacy"}
    assert not [path for path, settings in others.items() if "legacy" in settings]


@pytest.mark.parametrize("name", ["shapenet-part", "objects"])
def test_parts_of_objects_are_segmented(name: str) -> None:
    experiment = recipe(f"segment/{name}")
    assert experiment.segments
    assert {"test/class_miou", "test/instance_miou"} <= set(experiment.accuracies)


def test_backbones_are_asked_the_same_before_and_after_their_fine_tuning() -> None:
    """The study of proxies: what each seed trains, and the questions about it and about random weights."""
    study = load(CONFIGS / "study/proxies.yaml")
    assert isinstance(study, StudyExperiment)
    asked = {
        (cell.levels.start, cell.levels.protocol) for cell in study.cells if cell.levels.route == "proxy"
    }
    starts = ("scratch", "pretrained", "fine-tuned", "wise-ft-lp")
    assert asked == {(start, protocol) for start in starts for protocol in ("svm", "few-shot")}
    names = {
        cell.levels.protocol: cell.experiment.name
        for cell in study.cells
        if cell.levels.route == "target" and cell.levels.start != "scratch"
    }
    started = {cell.levels.start: cell.experiment.pretrained for cell in study.cells}
    assert started["fine-tuned"].name == names["full"] == started["wise-ft-lp"].fine_tuned_name["fine_tuned"]
    assert started["wise-ft-lp"].name == names["wise-ft-lp"]
