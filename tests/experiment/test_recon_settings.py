"""What is written of ReCon's teachers: mistakes are found at once, and notes say what was seen."""

from pathlib import Path
from typing import Any

import pytest

from conftest import BACKBONE, SCANS
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import PretrainExperiment
from pointlab.storage import Storage
from tiny_recon import POINTS_ONLY, RECON, TOWERS, tiny_recon

SHAPENET = {"name": "shapenet", "source": {"kind": "shapenet55"}, "num_points": 64}
"""Neither pictures nor captions are asked for."""


def test_notes_tell_whether_labels_were_seen(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    named = {"paradigm": {"text": "class_names"}}
    assert "labels were seen" in tiny_recon(storage, **named).notes["texts"]
    assert "labels" not in "".join(tiny_recon(storage).notes.values())
    assert tiny_recon(storage, **POINTS_ONLY).notes == {}
    contrast = {"paradigm": {"contrast_weight": 1}}
    assert "captions" in tiny_recon(storage, **merge(POINTS_ONLY, contrast)).notes["contrast"]
    labelled = tiny_recon(storage, **merge(merge(POINTS_ONLY, contrast), named))
    assert "labels were seen" in labelled.notes["contrast"]


def test_notes_tell_what_teachers_have_seen(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert "captions" in tiny_recon(storage).notes["text teacher"]
    classifier = TOWERS | {"network": {"kind": "vit", "picture_size": 16}}
    stranger = {"kind": "folder", "path": "towers", "sha256": 64 * "0"}
    for teacher, told in ((classifier, "seen labels"), (stranger, "not known")):
        settings = RECON | {"image_teacher": teacher}
        assert told in validate(PretrainExperiment, settings, "test").notes["image teacher"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            RECON | {"image_teacher": None},
            "set image_teacher, beside paradigm, or paradigm.image_weight to 0",
        ),
        (RECON | {"text_teacher": None}, r"a network that reads .*: set text_teacher"),
        (
            merge(RECON, {"paradigm": {"image_weight": 0}}),
            "image_teacher is given, but paradigm.image_weight is 0: set image_teacher to null",
        ),
        (
            merge(RECON, {"paradigm": {"text_weight": 0}}),
            "text_teacher is given, but paradigm.text_weight is 0",
        ),
        (
            RECON | {"paradigm": {**RECON["paradigm"], "kind": "masked"}, "backbone": BACKBONE},
            "image_teacher is given, but paradigm masked has no use for it",
        ),
        (RECON | {"teacher": TOWERS}, "teacher is given, .* set paradigm.kind to act_autoencoder"),
        (
            RECON | {"text_teacher": {**TOWERS, "network": {"kind": "vit"}}},
            "text_teacher.network is a vit, which does not read",
        ),
        (RECON | {"text_teacher": {"kind": "random"}}, "text_teacher.kind: unknown kind 'random'"),
        (
            merge(RECON, {"data": {"source": {"num_views": 0}}}),
            "learns of pictures, and sparse has none: set data.source.num_views, .*"
            "or set paradigm.image_weight to 0 and image_teacher to null",
        ),
        (RECON | {"data": SHAPENET}, "learns of pictures, and shapenet has none: set data.source.pictures"),
        (
            RECON | {"data": merge(SHAPENET, {"source": {"pictures": "{model}.png"}})},
            "learns of captions, and shapenet has none: set data.source.captions .*, or set paradigm.text to"
            " class_names, or set paradigm.text_weight to 0 and text_teacher to null",
        ),
        (
            merge(merge(RECON, POINTS_ONLY), {"data": SHAPENET, "paradigm": {"contrast_weight": 1}}),
            "learns of captions, .* or set paradigm.contrast_weight to 0",
        ),
        (
            merge(RECON, {"paradigm": {"image_augmentation": {"shift": 0, "flip": False}}}),
            "varies nothing, .* set image_augmentation to null",
        ),
        (merge(RECON, {"paradigm": {"templates": "held_out"}}), "templates"),
    ],
)
def test_mistakes_about_teachers_are_found_when_they_are_written(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(PretrainExperiment, settings, "test")


def test_a_remedy_leads_to_settings_that_hold(tmp_path: Path) -> None:
    without = {"paradigm": {"image_weight": 0}, "image_teacher": None}
    storage = Storage(str(tmp_path))
    with pytest.raises(ConfigError, match=r"scans has none: .* set paradigm\.image_weight to 0 and image_te"):
        tiny_recon(storage, data=SCANS)
    assert tiny_recon(storage, **merge(without, {"data": SCANS})).image_teacher is None
