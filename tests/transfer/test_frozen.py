"""Protocols on a frozen backbone: their heads are stored and read back, and features are extracted once."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import BACKBONE, tiny_transfer
from pointlab.backbones import Backbone
from pointlab.config import validate
from pointlab.errors import ConfigError
from pointlab.evaluation import pooled_features
from pointlab.experiment import AnalyseExperiment, EvaluateExperiment, TransferExperiment
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import Resolved, definition
from pointlab.experiment.subjects import Reading
from pointlab.launch import run
from pointlab.storage import Record, Storage, read_manifest

HEADS: dict[str, dict[str, Any]] = {
    "linear_probe": {},
    "mlp_probe": {"mlp_probe": {"epochs": 2, "learning_rates": [1e-3], "weight_decays": [0.0, 0.1]}},
    "knn": {"knn": {"num_neighbours": [1, 3]}},
}
SETTINGS_OF = {"linear_probe": "probe", "mlp_probe": "mlp_probe", "knn": "knn"}


def frozen(storage: Storage, protocol: str, **changes: Any) -> TransferExperiment:
    return tiny_transfer(storage, **{"protocol": protocol, **HEADS.get(protocol, {}), **changes})


def reading(storage: Storage, protocol: str, **grid: Any) -> TransferExperiment:
    """The protocol with a grid of features."""
    field = SETTINGS_OF[protocol]
    return frozen(storage, protocol, **{field: {**HEADS[protocol].get(field, {}), **grid}})


def made(experiment: TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


@pytest.mark.parametrize("protocol", ["mlp_probe", "knn"])
def test_a_frozen_protocol_runs_to_a_record_and_leaves_the_backbone_s_bytes(
    storage: Storage, protocol: str
) -> None:
    record = made(frozen(storage, protocol))
    assert record.protocol == protocol
    assert set(frozen(storage, protocol).accuracies) <= record.metrics.keys()
    hashes = []
    for name in (record.parents["pretrained"], record.run):
        manifest = read_manifest(storage, f"runs/{name}/model")
        assert manifest is not None
        hashes.append(manifest.files["backbone.safetensors"].sha256)
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("protocol", [*HEADS])
def test_a_chosen_feature_is_what_everybody_reads(storage: Storage, protocol: str) -> None:
    experiment = reading(storage, protocol, stages=["embedding", "block_1"], poolings=["mean", "maximum"])
    record = made(experiment)
    assert record.protocol == f"{protocol}/chosen-feature"
    rows = record.curves["features"]
    assert [row["feature"] for row in rows] == [
        f"{stage}/{pooling}" for stage in ("embedding", "block_1") for pooling in ("mean", "maximum")
    ]
    best = max(float(row["validation/accuracy"]) for row in rows)
    first_of_equals = next(row["feature"] for row in rows if row["validation/accuracy"] == best)
    assert record.metrics["validation/accuracy"] == best
    classifier = read_classifier(experiment, record.run, storage)
    assert classifier.reads == first_of_equals
    assert record.notes["reads"] == f"{first_of_equals}, the best of 4 on validation"
    data = open_data(storage, record.datasets["data"], experiment.num_points)
    cpu = torch.device("cpu")
    for split in ("validation", "test"):
        figures = classifier.measure(data.batches(split, 16)(), cpu)
        assert figures["accuracy"] == record.metrics[f"{split}/accuracy"]
    (table,) = pooled_features([classifier.backbone], data.batches("test", 16)(), cpu, classifier.reads)
    assert table.features.shape[1] == BACKBONE["width"]


def test_an_evaluation_reads_the_feature_that_was_chosen(storage: Storage) -> None:
    experiment = reading(storage, "mlp_probe", stages=["embedding"], poolings=["maximum_and_mean"])
    record = made(experiment)
    assert record.notes["reads"] == "embedding/maximum_and_mean, as set"
    settings = {
        "kind": "evaluate",
        "name": "withstood",
        "classifier": experiment.model_dump(mode="json"),
        "suite": {"name": "modelnet_c", "corruptions": ["jitter"], "severities": [1]},
        "storage": {"root": storage.root},
    }
    measured = run(validate(EvaluateExperiment, settings, "test")).record
    assert measured is not None
    assert measured.parents["classifier"] == record.run
    assert measured.metrics["test/accuracy"] == record.metrics["test/accuracy"]


@pytest.mark.parametrize(("protocol", "head_kind"), [("mlp_probe", "own"), ("knn", "fresh")])
def test_gradients_of_an_analysis_come_through_a_head_that_has_some(
    storage: Storage, protocol: str, head_kind: str
) -> None:
    transfer = frozen(storage, protocol, test=False)
    record = made(transfer)
    settings = {"kind": "analyse", "name": "x", "subjects": {"a": transfer.model_dump()}, "with_start": False}
    analysis = validate(AnalyseExperiment, settings, "test")
    parents = {"a": record.run, "a-pretrained": record.parents["pretrained"]}
    data = open_data(storage, record.datasets["data"], 48)
    (subject,) = Reading(Resolved(analysis, "", {}, parents), storage, data, lambda _: None).subjects()
    assert subject.head_kind == head_kind
    assert bool(subject.why_fresh) == (head_kind == "fresh")


def test_all_stages_end_with_the_one_that_heads_read(storage: Storage) -> None:
    rows = made(reading(storage, "linear_probe", stages="all")).curves["features"]
    assert [row["feature"] for row in rows] == ["embedding/pooled", "block_1/pooled", "pooled"]


def test_voters_that_are_left_out_are_told(storage: Storage) -> None:
    experiment = frozen(storage, "knn", knn={"num_neighbours": [1, 999]}, samples_per_class=2)
    notes = made(experiment).notes
    assert notes["left out"].startswith("999 voters, as there are ")
    assert "left out" not in made(frozen(storage, "knn")).notes


def test_protocols_on_one_frozen_backbone_extract_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "of-its-own"))
    passes: Counter[int] = Counter()
    compute = Backbone.intermediates

    def counted(self: Backbone, batch: Any, stages: Any) -> Any:
        passes.update(batch.ids.tolist())
        return compute(self, batch, stages)

    monkeypatch.setattr(Backbone, "intermediates", counted)
    for protocol in ("linear_probe", "knn", "mlp_probe", "linear_svm"):
        record = made(frozen(storage, protocol, test=False, shifted=None))
        assert ("without what they cost" in record.notes.get("features", "")) == (protocol != "linear_probe")
    target = open_data(storage, record.datasets["data"], 48)
    ids, first = target.split("train").ids.tolist(), record.config["training"]["batch_size"]
    assert {passes[identity] for identity in ids[first:]} == {1}
    assert {passes[identity] for identity in ids[:first]} == {1 + 4}  # on which each counts its operations


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": {"stages": ["block_9"]}}, "block_9 is no stage of this PatchTransformer.*block_2"),
        ({"probe": {"stages": []}}, "expected one stage at least"),
        ({"probe": {"poolings": ["mean", "mean"]}}, "expected values that differ"),
        (
            {"protocol": "wise_ft_lp", "probe": {"stages": ["block_1"]}},
            "protocol wise_ft_lp does not fit that head",
        ),
        (
            {"protocol": "mlp_probe", "probe": {"poolings": ["mean"]}},
            "protocol mlp_probe does not fit that head",
        ),
        ({"protocol": "mlp_probe", "supervised": {"head": {"kind": "linear"}}}, "trains an MLP: set"),
        ({"protocol": "knn", "knn": {"num_neighbours": [3, 3]}}, "expected values that differ"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_where_it_is_written(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_transfer(storage, **{"protocol": "linear_probe", **changes})


def test_settings_that_a_protocol_does_not_read_do_not_name_its_runs(storage: Storage) -> None:
    def named(experiment: TransferExperiment) -> Any:
        return definition(experiment, lambda data: f"{data.name}-hash")

    knn = frozen(storage, "knn")
    assert named(knn) == named(frozen(storage, "knn", probe={"penalties": [1.0]}))
    assert named(knn) != named(frozen(storage, "knn", knn={"num_neighbours": [2]}))
    plain = frozen(storage, "linear_probe")
    assert named(plain) == named(frozen(storage, "linear_probe", knn={"num_neighbours": [2]}))
    assert set(named(plain)["probe"]) == {"penalties", "max_iterations"}
    assert named(plain) != named(reading(storage, "linear_probe", poolings=["mean"]))
