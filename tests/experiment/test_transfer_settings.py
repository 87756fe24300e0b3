"""Settings of a transfer: the step that is kept, and what it changes of a pretrained backbone."""

from typing import Any

import pytest

from conftest import PRETRAIN, TRANSFER
from pointlab.backbones import build_backbone
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import PretrainExperiment, TransferExperiment


@pytest.mark.parametrize(
    ("training", "selection"),
    [({}, "best"), ({"epochs": 30}, "best"), ({"selection": "last"}, "last"), (None, "best")],
)
def test_the_best_step_is_kept_also_where_other_settings_of_training_are_given(
    training: dict[str, Any] | None, selection: str
) -> None:
    settings = {key: value for key, value in TRANSFER.items() if key != "training"}
    if training is not None:
        settings["training"] = training
    experiment: TransferExperiment = validate(TransferExperiment, settings, "test")
    assert experiment.training.selection == selection


def test_a_pretraining_without_a_head_refuses_a_faster_head_when_it_is_written() -> None:
    faster = {"training": {"optimiser": {"head_learning_rate_factor": 10}}}
    assert validate(PretrainExperiment, merge(PRETRAIN, faster), "test")
    with pytest.raises(ConfigError, match="head_learning_rate_factor is 10, but paradigm masked has no head"):
        validate(PretrainExperiment, merge(PRETRAIN, faster | {"paradigm": {"kind": "masked"}}), "test")


def transfer_of(**changes: Any) -> TransferExperiment:
    experiment: TransferExperiment = validate(TransferExperiment, merge(TRANSFER, changes), "test")
    return experiment


def test_drop_path_and_patches_of_a_transfer_are_its_own_and_change_no_weight() -> None:
    plain, changed = transfer_of(), transfer_of(drop_path_rate=0.25, num_groups=12, group_size=6)
    assert changed.pretrained == plain.pretrained
    before, after = (build_backbone(experiment.architecture) for experiment in (plain, changed))
    assert [block.drop_path.rate for block in after.blocks][-1] == 0.25
    assert (after.config.num_groups, after.config.group_size) == (12, 6)
    shapes = [{name: row.shape for name, row in one.state_dict().items()} for one in (before, after)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_groups": 49}, "num_points is 48, but num_groups is 49: expected at least 49 points; raise"),
        ({"group_size": 25, "augmentation": {"crop": [0.5, 0.9]}}, r"as few as 24 of 48.* group_size is 25"),
    ],
)
def test_clouds_too_small_for_the_patches_are_refused_when_a_transfer_is_written(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        transfer_of(**changes)
    if "augmentation" in changes:  # of which frozen features see nothing
        assert transfer_of(**changes, protocol="linear_probe").architecture


@pytest.mark.parametrize("setting", ["drop_path_rate", "num_groups", "group_size"])
def test_a_setting_that_a_backbone_has_not_is_refused(setting: str) -> None:
    changes = {"pretrained": {"backbone": {"kind": "pointnet"}}, setting: 0.5 if "rate" in setting else 8}
    with pytest.raises(ConfigError, match=rf"{setting} is .*, but the backbone, a pointnet, has no such"):
        transfer_of(**changes)


@pytest.mark.parametrize(
    ("field", "protocol"), [("probe", "linear_probe"), ("mlp_probe", "mlp_probe"), ("knn", "knn")]
)
def test_stages_of_a_head_that_is_not_fitted_are_refused(field: str, protocol: str) -> None:
    """Whichever head it is; its own protocol takes them."""
    asked = {field: {"stages": "all"}}
    transfer_of(protocol=protocol, **asked)
    other = "knn" if field == "probe" else "linear_probe"
    with pytest.raises(ConfigError, match=f"{field}.stages .*but protocol {other} does not fit that head"):
        transfer_of(protocol=other, **asked)
