"""Settings of a transfer: the step that is kept, and what it changes of a pretrained backbone."""

from typing import Any

import pytest

from conftest import TRANSFER
from pointlab.backbones import build_backbone
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import TransferExperiment


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


@pytest.mark.parametrize("setting", ["drop_path_rate", "num_groups", "group_size"])
def test_a_setting_that_a_backbone_has_not_is_refused(setting: str) -> None:
    changes = {"pretrained": {"backbone": {"kind": "pointnet"}}, setting: 0.5 if "rate" in setting else 8}
    with pytest.raises(ConfigError, match=rf"{setting} is .*, but the backbone, a pointnet, has no such"):
        transfer_of(**changes)
