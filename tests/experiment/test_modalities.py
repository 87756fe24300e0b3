"""Whether clouds have pictures, captions and labels to learn of is asked before anything is trained."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import PRETRAIN, SHAPES
from pointlab.config import merge, validate
from pointlab.data.builtin import Scans, Shapes
from pointlab.data.dataset import DatasetConfig
from pointlab.data.source import Source
from pointlab.errors import ConfigError, DataError
from pointlab.experiment import PrepareExperiment, PretrainExperiment
from pointlab.experiment.features import build_features
from pointlab.experiment.modalities import Modality, require_prepared
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import Resolved
from pointlab.launch import forecast, run
from pointlab.launch.lineage import announce_parents, require_learnable
from pointlab.storage import Storage
from tiny_recon import MODALITIES, PICTURED, POINTS_ONLY, RECON, publish_in_place_of, tiny_recon

NOT_THE_IMAGES = {"image_teacher": None, "paradigm": {"image_weight": 0}}


@pytest.mark.parametrize(
    "source",
    [
        Shapes(num_points=16),
        Shapes(num_points=16, num_views=1, view_size=16),
        Scans(num_train_per_class=1),
    ],
    ids=["shapes", "shapes-with-views", "scans"],
)
def test_a_source_gives_what_it_says_that_it_gives(source: Source) -> None:
    (cloud,) = source.read(None, source.index(None).rows[:1])
    assert source.gives_pictures is any(view.colour is not None for view in cloud.views)
    assert source.gives_captions is (cloud.caption is not None)


def test_a_set_without_cameras_is_told_before_its_number_of_points() -> None:
    settings = merge(PRETRAIN, {"paradigm": {"kind": "ppkt"}, "num_points": 100_000})
    with pytest.raises(ConfigError, match="learns of pixels") as caught:
        validate(PretrainExperiment, settings, "test")
    assert "num_points" not in str(caught.value)


class Unsure(Shapes):
    """Only its files would tell what it gives."""

    @property
    def gives_pictures(self) -> None:  # type: ignore[override]
        return None

    @property
    def gives_cameras(self) -> None:  # type: ignore[override]
        return None

    @property
    def gives_captions(self) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("lacking", MODALITIES)
def test_a_prepared_set_is_asked_what_its_source_could_not_say(tmp_path: Path, lacking: Modality) -> None:
    settings = merge(PICTURED, {"name": f"without-{lacking}"})
    storage = Storage(str(tmp_path))
    prepared = publish_in_place_of(settings, storage, without=lacking)
    data: DatasetConfig = validate(DatasetConfig, settings, "test").model_copy(update={"source": Unsure()})
    lacks = {lacking} | ({"pixel"} if lacking == "picture" else set())  # which is one by a known camera
    for modality in (*MODALITIES, "pixel"):
        if modality not in lacks:
            require_prepared({modality: "see to it"}, data, prepared, storage)
    for modality in lacks:
        with pytest.raises(
            DataError, match=rf"No cloud of {prepared} .* has a {lacking}.* some .* see to it"
        ):
            require_prepared({modality: "see to it"}, data, prepared, storage)
    if lacking == "picture":  # which other splits may have
        with pytest.raises(
            DataError, match=rf"No cloud of {prepared} for validation has a picture by a known"
        ):
            require_prepared({"pixel": "see to it"}, data, prepared, storage, ("validation",))


def test_a_source_that_knows_no_camera_is_refused_before_it_is_prepared() -> None:
    teacher = {"kind": "folder", "path": "anywhere", "sha256": "0" * 64}
    settings = merge(PRETRAIN, {"paradigm": {"kind": "ppkt"}, "image_teacher": teacher})
    with pytest.raises(ConfigError, match=r"learns of pixels, and \S+ has none: set data.source.num_views"):
        validate(PretrainExperiment, settings, "test")


@pytest.mark.parametrize(
    ("lacking", "changes", "remedy"),
    [
        ("picture", {}, "set paradigm.image_weight to 0 and image_teacher to null"),
        ("caption", NOT_THE_IMAGES, "set paradigm.text to class_names, or set paradigm.text_weight to 0 and"),
        ("label", {"paradigm": {"text": "class_names"}}, "set paradigm.text to captions, or"),
        (
            "caption",
            merge(POINTS_ONLY, {"paradigm": {"contrast_weight": 1}}),
            "paradigm.contrast_weight to 0",
        ),
    ],
)
def test_splits_without_what_is_learned_of_are_told(
    tmp_path: Path, lacking: Modality, changes: dict[str, Any], remedy: str
) -> None:
    """Such as where the clouds for testing alone have it."""
    storage = Storage(str(tmp_path))
    settings = merge(PICTURED, {"name": f"without-{lacking}"})
    prepared = publish_in_place_of(settings, storage, without=lacking)
    resolved = Resolved(tiny_recon(storage, data=settings, **changes), "run", {})
    with pytest.raises(DataError, match=f"No cloud of {prepared} .* has a {lacking}") as told:
        build_features(resolved, storage, open_data(storage, prepared, 48), torch.device("cpu"))
    assert remedy in str(told.value)


def in_a_folder(folder: Path, header: str) -> dict[str, Any]:
    """A set of four clouds of one's own, by a table whose last column has this name."""
    for number in range(4):
        points = np.random.default_rng(number).normal(size=(64, 3)).astype(np.float32)
        np.save(folder / f"{number}.npy", points)
    rows = [f"{number}.npy,cup,thing {number}" for number in range(4)]
    (folder / "table.csv").write_text("\n".join([f"path,label,{header}", *rows]))
    source = {"kind": "folder", "up_axis": "y", "csv": "table.csv"}
    own = {
        "name": "own",
        "source": source,
        "root": str(folder),
        "num_points": 48,
        "validation_fraction": 0.25,
    }
    return merge(RECON, {**NOT_THE_IMAGES, "data": None}) | {"data": own}


def test_a_set_of_one_s_own_without_captions_is_told_before_its_teacher_is_trained(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    publish_in_place_of(PICTURED, storage)
    settings = in_a_folder(tmp_path, "notes") | {"storage": {"root": storage.address}}
    with pytest.raises(DataError, match=r"No cloud of own-.* has a caption"):
        run(validate(PretrainExperiment, settings, "test"))
    assert not storage.folders("runs")


def test_a_set_of_one_s_own_with_captions_is_learned_of(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    towers = publish_in_place_of(PICTURED, storage)
    settings = in_a_folder(tmp_path, "caption") | {"storage": {"root": storage.address}}
    prepare = {"kind": "prepare", **{name: settings[name] for name in ("data", "storage", "launch")}}
    own = run(validate(PrepareExperiment, prepare, "test")).path.rpartition("/")[2]
    experiment = validate(PretrainExperiment, settings, "test")
    require_learnable(experiment, {"data": own, "text_teacher": towers}, storage)


def test_two_fields_that_name_one_parent_are_told_from_two_that_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Storage(str(tmp_path))
    *sets, towers, recon = forecast(tiny_recon(storage), storage)
    assert {each.state for each in sets} == {"to prepare"}
    assert [(each.name, each.roles, each.state) for each in (towers, recon)] == [
        ("towers", ("image_teacher", "text_teacher"), "to do"),
        ("recon", ("itself",), "to do"),
    ]
    changed = tiny_recon(storage, image_teacher={"training": {"epochs": 2}})
    runs = [each.roles for each in forecast(changed, storage) if each.name == "towers"]
    assert runs == [("image_teacher",), ("text_teacher",)]
    sets = {role: f"pictured-{config.recipe()}" for role, config in changed.datasets.items()}
    with caplog.at_level(logging.INFO):
        announce_parents(changed, sets, storage)
    assert caplog.text.count("recon makes first: towers-") == 1
    assert "(image_teacher), towers-" in caplog.text
    prepare = validate(PrepareExperiment, {"kind": "prepare", "data": SHAPES}, "test")
    assert [(each.roles, each.state) for each in forecast(prepare, storage)] == [(("data",), "to prepare")]
    assert not storage.folders("datasets")
