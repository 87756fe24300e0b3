"""A mixture of finished runs: its ends are theirs to the byte, and what lies in between is told as it is."""

import re
from typing import Any

import pytest
import torch

from conftest import SCANS, SHAPES, tiny_transfer
from pointlab.backbones.pointnet import PointNetConfig
from pointlab.config import validate
from pointlab.data.dataset import DatasetConfig, find_prepared
from pointlab.evaluation import pooled_features
from pointlab.experiment import AnalyseExperiment, EvaluateExperiment
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import FINE_TUNED
from pointlab.experiment.stored_models import seeded_backbone
from pointlab.launch import run
from pointlab.report import build_report
from pointlab.storage import Record, Storage, read_manifest, read_record
from pointlab.transfer import MixtureConfig, barrier, reestimate
from pointlab.transfer.sweep import mix_backbones

CPU = torch.device("cpu")
NORMALISED = PointNetConfig(widths=(16, 16, 16, 32, 64), transforms=False)
"""Every layer has a BatchNorm."""


def record_of(experiment: Any) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def model_of(storage: Storage, run: str) -> dict[str, str]:
    """The hash of each file of the model that a run left."""
    manifest = read_manifest(storage, f"runs/{run}/model")
    assert manifest is not None
    return {name: file.sha256 for name, file in manifest.files.items()}


def end_of(storage: Storage, coefficient: float) -> Record:
    """WiSE-FT at one end, its statistics mixed like weights."""
    mixture = {"coefficients": [coefficient], "batch_norm": "interpolate"}
    return record_of(tiny_transfer(storage, protocol="wise_ft", mixture=mixture))


def test_at_one_wise_ft_is_the_fine_tuned_classifier_and_at_zero_its_backbone_the_pretrained(
    storage: Storage,
) -> None:
    first, last = end_of(storage, 0.0), end_of(storage, 1.0)
    assert first.parents == last.parents
    fine_tuned = read_record(storage, last.parents[FINE_TUNED])
    assert fine_tuned is not None
    assert model_of(storage, last.run) == model_of(storage, fine_tuned.run)
    tested = {name: value for name, value in fine_tuned.metrics.items() if "test/" in name}
    assert tested == {name: value for name, value in last.metrics.items() if "test/" in name}
    pretrained, at_zero = (model_of(storage, each) for each in (last.parents["pretrained"], first.run))
    assert at_zero["backbone.safetensors"] == pretrained["backbone.safetensors"]
    assert at_zero["head.safetensors"] == model_of(storage, fine_tuned.run)["head.safetensors"]


def test_a_mixture_tells_what_it_took_itself_and_its_fine_tuning_the_rest(storage: Storage) -> None:
    mixed = record_of(tiny_transfer(storage))
    fine_tuned = read_record(storage, mixed.parents[FINE_TUNED])
    assert fine_tuned is not None
    assert fine_tuned.protocol == "full"
    assert mixed.samples_seen == 2 * 48  # three of four training clouds of 16 classes: statistics, features
    assert fine_tuned.samples_seen == 2 * 48  # epochs
    page = build_report(storage, [mixed.run])
    assert f"Loss of {fine_tuned.run} over its epochs" in page


def test_the_barrier_is_that_of_the_methods_own_curve_on_the_target(storage: Storage) -> None:
    mixed = record_of(tiny_transfer(storage, protocol="wise_ft"))
    own = [row for row in mixed.curves["coefficients"] if row["method"] == "wise_ft"]
    losses = {float(row["coefficient"]): float(row["target-validation/loss"]) for row in own}
    assert mixed.metrics["selection/barrier"] == barrier(losses)
    assert "selection/barrier" not in end_of(storage, 1.0).metrics  # there is no line


def test_halfway_between_two_networks_features_collapse_unless_statistics_are_estimated_again(
    storage: Storage,
) -> None:
    """PointNets of two seeds on the built-in shapes, each with statistics of its own: the variance collapse
    of Jordan et al., "REPAIR" (2023)."""
    shapes = find_prepared(validate(DatasetConfig, SHAPES, "test"), storage)
    assert shapes is not None
    clouds = open_data(storage, shapes, num_points=48).batches("train", 16)
    ends = (seeded_backbone(NORMALISED, seed=0), seeded_backbone(NORMALISED, seed=1))
    reestimate(ends, clouds(), CPU)
    spread = {}
    for batch_norm in ("interpolate", "reestimate"):
        mixture = MixtureConfig(coefficients=(0.0, 0.5, 1.0), batch_norm=batch_norm)
        backbones = mix_backbones(*ends, mixture, CPU)
        if batch_norm == "reestimate":
            reestimate(backbones, clouds(), CPU)
        tables = pooled_features(backbones, clouds(), CPU)
        first, middle, last = (float(table.features.std(0).mean()) for table in tables)
        spread[batch_norm] = 2 * middle / (first + last)
    assert spread["interpolate"] < 0.5
    assert spread["reestimate"] > 0.8


@pytest.mark.parametrize(
    ("protocol", "coefficient", "told"),
    [
        ("wise_ft", 1.0, "the fine-tuned backbone itself, with any BatchNorm re-estimated"),
        ("wise_ft_lp", 0.0, "the pretrained backbone itself, .* and a new probe: nothing is mixed"),
        ("wise_ft", 0.5, ""),
    ],
)
def test_a_record_says_where_what_was_chosen_is_an_end_and_no_mixture(
    storage: Storage, protocol: str, coefficient: float, told: str
) -> None:
    mixture = {"coefficients": [coefficient]}
    notes = record_of(tiny_transfer(storage, protocol=protocol, mixture=mixture)).notes
    assert re.match(told, notes["chosen end"]) if told else "chosen end" not in notes


def test_a_mixture_is_evaluated_and_analysed_like_any_classifier(storage: Storage) -> None:
    mixture = tiny_transfer(storage).model_dump(mode="json")
    stored = {"storage": {"root": storage.address}}
    part = {"name": "modelnet_c", "corruptions": ["scale"], "severities": [1]}
    evaluation = {"kind": "evaluate", "name": "robust", "classifier": mixture, "suite": part, **stored}
    evaluated = record_of(validate(EvaluateExperiment, evaluation, "test"))
    run_of_mixture = evaluated.parents["classifier"]
    found = read_record(storage, run_of_mixture)
    assert found is not None
    assert evaluated.metrics["test/accuracy"] == found.metrics["test/accuracy"]
    analysis = {
        "kind": "analyse",
        "name": "within",
        "subjects": {"mixed": mixture},
        "data": SCANS,
        "num_clouds": 60,
        "analysis": {"num_neighbours": 3, "probe": {"penalties": [0.01]}},
        **stored,
    }
    analysed = record_of(validate(AnalyseExperiment, analysis, "test"))
    assert analysed.parents == {"mixed": run_of_mixture, "mixed-pretrained": found.parents["pretrained"]}
